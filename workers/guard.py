"""The allow-list: of a job that lies in Redis, nothing is believed but which bell was rung and for what.

RQ imports whatever dotted name a job carries and falls back to builtins (`rq/utils.py`, `import_attribute`), also
with the JSON serializer; a job may further name callbacks, webhooks, retries and repeats. Whoever can write to
Redis could so run code in a process that holds Windows credentials. A guarded job knows a handful of functions,
takes short plain text as arguments, and drops every other field of the stored hash. Forging one buys nothing:
the functions themselves read the signed record and believe nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from rq.exceptions import DeserializationError, NoSuchJobError
from rq.job import Job

KEPT: Final = frozenset(
    {"data", "created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat", "origin", "status", "worker_name",
     "result_ttl", "failure_ttl"}
)  # fmt: skip
"""Fields of a stored job that RQ needs for its own book-keeping. Callbacks, webhooks, retries, repeats,
dependencies, rate limits, meta and the job's own idea of its time limit are not among them."""

_ARGUMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", re.ASCII)


class NotAllowed(PermissionError):
    """A job that this worker does not run."""


class GuardedJob(Job):
    """A job that can only be one of `allowed`, with arguments of plain text and the worker's own time limit."""

    allowed: ClassVar[Mapping[str, Callable[..., object]]] = {}
    """Name on the wire -> function. Filled by the worker's root; nothing is ever imported by name."""
    limit_s: ClassVar[int] = 28_800
    """Seconds after which RQ gives up on a job. Far beyond every step's own limit, which is what ends a step."""

    def restore(self, raw_data: Any) -> Any:
        """Takes the stored hash without everything this worker has no use for."""
        kept = {key: value for key, value in dict(raw_data).items() if _name(key) in KEPT}
        for key in [k for k in kept if _name(k) in ("result_ttl", "failure_ttl") and not _digits(kept[k])]:
            del kept[key]
        try:
            super().restore(kept)
        except (ValueError, TypeError, KeyError, AttributeError):
            # Raised here, it would end the worker; a job that is none is passed over.
            raise NoSuchJobError("A job that lies in Redis is none that lync-dr wrote; it was passed over.") from None
        self.timeout = self.limit_s
        self.description = None

    def _deserialize_data(self) -> None:
        """Reads what the job says, as JSON and as nothing else; says so where it is anything else."""
        try:
            super()._deserialize_data()  # type: ignore[no-untyped-call]
        except DeserializationError:
            raise DeserializationError(
                "A job that lies in Redis is not written as lync-dr writes them; it was not run. Only lync-dr may "
                "write to its queues: find out who else can reach this Redis."
            ) from None

    @property
    def func(self) -> Callable[..., object]:
        """The function, from the allow-list. Raises `NotAllowed` for every other name and for strange arguments."""
        name = self.func_name
        found = self.allowed.get(name) if isinstance(name, str) else None
        if found is None or self.instance is not None:
            raise NotAllowed(
                "Somebody rang for something this worker does not do; it was not run. Only lync-dr may write "
                "to its queues: find out who else can reach this Redis."
            )
        if self.kwargs or not all(_plain(argument) for argument in self.args or ()):
            raise NotAllowed(f"A ring for {name} carried arguments that no lync-dr process sends; it was not run.")
        return found

    @property
    def success_callback(self) -> None:
        """Never: a callback that fails turns a job that succeeded into one that failed."""
        return None

    @property
    def failure_callback(self) -> None:
        """Never."""
        return None

    @property
    def stopped_callback(self) -> None:
        """Never."""
        return None


def _plain(argument: object) -> bool:
    """A name, or a question of a few short texts."""
    if isinstance(argument, dict):
        return len(argument) <= 8 and all(isinstance(v, str) and len(k) + len(v) <= 200 for k, v in argument.items())
    return isinstance(argument, str) and _ARGUMENT.fullmatch(argument) is not None


def _name(key: object) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


def _digits(value: object) -> bool:
    return _name(value).lstrip("-").isdecimal()
