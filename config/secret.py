"""A secret that does not show itself."""

from __future__ import annotations

from dataclasses import dataclass


class Secret:
    """Text that no ``repr``, ``str``, format or log line shows. ``reveal`` gives it to the one place that needs it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself. Call it where it is used, and keep what it gives nowhere."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(hidden)" if self._text else "Secret(empty)"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not written anywhere, so it cannot be pickled or copied")


@dataclass(frozen=True)
class Credential:
    """An account that may log on somewhere: ``DOMAIN\\user`` or ``user@domain``, and its password."""

    username: str
    password: Secret
