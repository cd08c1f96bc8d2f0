"""Cmdlets as a host knows them: their parameters, how PowerShell binds them, and the turn in which one runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from practice.host.redtext import RedText, binding

#: Parameters every cmdlet takes (about_CommonParameters) and that change nothing here.
_COMMON = {
    "verbose",
    "debug",
    "erroraction",
    "warningaction",
    "errorvariable",
    "warningvariable",
    "outvariable",
    "outbuffer",
    "pipelinevariable",
}
_TIMESPAN = re.compile(r"^(?:(\d+)\.)?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?$")
_FQDN = re.compile(r"^(?=.{1,255}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))+$")
_BARE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9:._+/-]*$")  # what PowerShell reads as one word without quotes


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name, .NET type and whether it must be given in its parameter set."""

    name: str
    type: str = "String"
    required: bool = False
    sets: tuple[str, ...] = ()  # empty: all sets


@dataclass(frozen=True)
class Cmdlet:
    """A cmdlet of this host.

    `changes`: it alters state unless called with -WhatIf. `prompts`: it asks for confirmation by default, and
    `quiet` names what keeps it from asking.
    """

    name: str
    parameters: tuple[Parameter, ...]
    body: Callable[[Turn, Bound], None]
    implementing: str
    changes: bool = False
    should_process: bool = False
    prompts: bool = False
    quiet: tuple[str, ...] = ("Confirm:$false",)
    sets: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()  # at most one of these switches


@dataclass(frozen=True)
class Bound:
    """The parameters of one call after binding, by their proper names."""

    values: Mapping[str, Any]
    set_name: str = ""

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def has(self, name: str) -> bool:
        return name in self.values and self.values[name] is not False


class Streams(Protocol):
    """Where a running cmdlet's records go."""

    def verbose(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...
    def error(self, red: RedText) -> None: ...
    def output(self, properties: Mapping[str, Any]) -> None: ...


class Turn(Streams, Protocol):
    """One running cmdlet: its streams, and the time that passes on its host."""

    def pause(self, duration: str) -> None:
        """Let one named duration pass."""

    def steps(self, duration: str, lines: Sequence[str], midway: Callable[[], None] | None = None) -> None:
        """Let a named duration pass, one verbose line at each equal part of it; faults strike in the middle."""


def literal(cmdlet: str, params: Sequence[tuple[str, Any]]) -> str:
    """The call as a person would type it: `Get-CsPool -Identity fe1.ocsguy.local`."""
    words = [cmdlet]
    for name, value in params:
        if value is True:
            words.append(f"-{name}")
        elif value is False:
            words.append(f"-{name}:$false")
        elif isinstance(value, list | tuple):
            words.append(f"-{name} " + ",".join(_quoted(each) for each in value))
        else:
            words.append(f"-{name} {_quoted(value)}")
    return " ".join(words)


def _quoted(value: Any) -> str:
    text = str(value)
    return text if _BARE.match(text) else "'" + text.replace("'", "''") + "'"


def bind(cmdlet: Cmdlet, params: Sequence[tuple[str, Any]]) -> Bound:
    """Bind as PowerShell does, or raise the binding error it would print.

    Names are matched without regard to case; abbreviations are not accepted, because no careful caller uses them.
    """
    known = {p.name.lower(): p for p in cmdlet.parameters}
    if cmdlet.should_process:
        known |= {"confirm": Parameter("Confirm", "Switch"), "whatif": Parameter("WhatIf", "Switch")}
    values: dict[str, Any] = {}
    for name, value in params:
        if name.lower() in _COMMON:
            values[name.capitalize()] = value
            continue
        parameter = known.get(name.lower())
        if parameter is None:
            raise binding(
                f"A parameter cannot be found that matches parameter name '{name}'.",
                "NamedParameterNotFound",
                cmdlet.implementing,
            )
        if parameter.name in values:
            raise binding(
                f"Cannot bind parameter because parameter '{parameter.name}' is specified more than once.",
                "ParameterAlreadyBound",
                cmdlet.implementing,
            )
        values[parameter.name] = _converted(cmdlet, parameter, value)
    return Bound(values, _resolve_set(cmdlet, values))


def _resolve_set(cmdlet: Cmdlet, values: Mapping[str, Any]) -> str:
    given = [p for p in cmdlet.parameters if p.name in values]
    candidates = [s for s in cmdlet.sets or ("",) if all(not p.sets or s in p.sets for p in given)]
    chosen = [name for name in cmdlet.one_of if values.get(name)]
    if not candidates or len(chosen) > 1:
        raise binding(
            "Parameter set cannot be resolved using the specified named parameters.",
            "AmbiguousParameterSet",
            cmdlet.implementing,
        )
    missing: list[str] = []
    for name in candidates:
        wanted = [p for p in cmdlet.parameters if p.required and (not p.sets or name in p.sets)]
        missing = [p.name for p in wanted if p.name not in values]
        if not missing:
            return name
    raise binding(
        f"Cannot process command because of one or more missing mandatory parameters: {' '.join(missing)}.",
        "MissingMandatoryParameter",
        cmdlet.implementing,
    )


def _converted(cmdlet: Cmdlet, parameter: Parameter, value: Any) -> Any:
    try:
        return _convert(parameter.type, value)
    except (ValueError, TypeError):
        raise binding(
            f'Cannot bind parameter \'{parameter.name}\'. Cannot convert value "{value}" to type "{parameter.type}".',
            "CannotConvertArgumentNoMessage",
            cmdlet.implementing,
        ) from None


def _convert(kind: str, value: Any) -> Any:
    if kind in ("Switch", "Boolean"):
        if not isinstance(value, bool):
            raise ValueError
        return value
    if value is None or isinstance(value, bool | dict) or kind == "CimInstance":
        raise ValueError
    if kind == "Int32":
        return int(value)
    if kind == "TimeSpan":
        return _timespan(str(value))
    if kind == "String[]":
        return [str(v) for v in value] if isinstance(value, list | tuple) else [str(value)]
    if kind == "Fqdn" and not _FQDN.match(str(value)):
        raise ValueError
    if kind == "IPAddress":
        parts = str(value).split(".")
        if len(parts) != 4 or not all(p.isdigit() and int(p) < 256 for p in parts):
            raise ValueError
    if str(value) == "":
        raise ValueError
    return str(value)


def _timespan(text: str) -> timedelta:
    match = _TIMESPAN.match(text)
    if not match:
        raise ValueError
    days, hours, minutes, seconds = (int(g or 0) for g in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def prompts_unanswered(cmdlet: Cmdlet, bound: Bound) -> bool:
    """Would the cmdlet stop and ask? Under -NonInteractive asking is an error."""
    if not cmdlet.prompts or bound.get("WhatIf"):
        return bound.get("Confirm") is True
    if "Confirm:$false" in cmdlet.quiet and bound.get("Confirm") is False:
        return False
    return not ("Force" in cmdlet.quiet and bound.get("Force"))


def non_interactive(cmdlet: str, implementing: str) -> RedText:
    """The error of a confirmation that nobody can answer."""
    return RedText(
        "Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not available.",
        f"InvalidOperation,{implementing}",
        "InvalidOperation",
        cmdlet,
        exception="System.Management.Automation.PSInvalidOperationException",
    )


@dataclass
class Recorded:
    """Streams that keep what they are given; for tests and for callers without a wire."""

    verbose_lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[RedText] = field(default_factory=list)
    outputs: list[Mapping[str, Any]] = field(default_factory=list)

    def verbose(self, text: str) -> None:
        self.verbose_lines.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def error(self, red: RedText) -> None:
        self.errors.append(red)

    def output(self, properties: Mapping[str, Any]) -> None:
        self.outputs.append(properties)
