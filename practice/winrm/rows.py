"""Objects as the runner reports them: wanted properties, by path, as plain JSON values (docs/runner-protocol.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any


def row(item: Mapping[str, Any], want: Sequence[str]) -> dict[str, Any]:
    """The `row` of one output frame. A property the object does not have leaves no key."""
    values: dict[str, Any] = {}
    for path in want:
        if path == "@text":
            values[path] = as_list(item)
            continue
        found, many = _follow(item, path)
        if many:
            values[path] = [_scalar(each) for each in found]
        elif found:
            values[path] = _scalar(found[0])
    return values


def _follow(item: Any, path: str) -> tuple[list[Any], bool]:
    here: list[Any] = [item]
    many = False
    for name in path.split("."):
        following: list[Any] = []
        for one in here:
            if not isinstance(one, Mapping):
                continue
            for key, value in one.items():
                if key.lower() != name.lower():
                    continue
                if isinstance(value, list | tuple):
                    many = True
                    following.extend(value)
                else:
                    following.append(value)
        here = following
    return here, many


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
    if isinstance(value, timedelta):
        return _timespan(value)
    if isinstance(value, Mapping):
        return str(next(iter(value.values()), ""))
    return str(value)


def _timespan(value: timedelta) -> str:
    seconds = value.seconds
    text = f"{seconds // 3600:02}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
    if value.microseconds:
        text += f".{value.microseconds:06}0"
    return f"{value.days}.{text}" if value.days else text


def as_list(item: Mapping[str, Any]) -> str:
    """The object as Format-List prints it, trimmed."""
    width = max((len(name) for name in item), default=0)
    lines = []
    for name, value in item.items():
        if isinstance(value, list | tuple):
            text = "{" + ", ".join(str(_scalar(each)) for each in value) + "}"
        else:
            text = str(_scalar(value)) if value is not None else ""
        lines.append(f"{name:{width}} : {text}".rstrip())
    return "\n".join(lines)
