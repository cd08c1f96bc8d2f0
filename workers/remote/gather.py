"""Puts the frames of one start of the runner together into answers, and says honestly when that cannot be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from workers.redact import Redactor
from workers.remote.door import (
    Answer,
    CallLike,
    Done,
    Frame,
    RedLine,
    RedText,
    Refused,
    Row,
    Unknown,
    UnknownReason,
    Value,
)
from workers.remote.frames import Broken, FrameReader, RawFrame
from workers.remote.redtext import errors_of, plain

STDERR_KEPT = 256 * 1024
"""Bytes of standard error that are kept to explain a failed start."""


@dataclass
class _OneCall:
    """What has come for one call so far."""

    counted_only: bool
    rows: list[Row] = field(default_factory=list)
    red: list[RedLine] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    result: dict[str, Any] | None = None


class Gathering:
    """Takes the bytes of standard output and standard error as they come and gives frames to show at once; at the end,
    one answer per call."""

    def __init__(self, host: str, nonce: str, calls: Sequence[CallLike], redactor: Redactor, *, looks: bool) -> None:
        self._host = host
        self._reader = FrameReader(nonce)
        self._calls = {str(i): _OneCall("@count" in call.want) for i, call in enumerate(calls, 1)}
        self._looks = looks
        self._redactor = redactor
        self._stderr = b""
        self._noise: list[str] = []
        self._bye: dict[str, Any] | None = None
        self._broken = ""
        self._refused = False
        self.began = False
        """The runner has said hello: from now on a cmdlet may be running."""

    def stdout(self, piece: bytes) -> list[Frame]:
        """The next bytes of standard output; returns what can be shown."""
        return self._take(piece, last=False)

    def stderr(self, piece: bytes) -> None:
        """The next bytes of standard error, kept for the case that PowerShell never got as far as the runner."""
        self._stderr = (self._stderr + piece)[:STDERR_KEPT]

    def _take(self, piece: bytes, *, last: bool) -> list[Frame]:
        shown: list[Frame] = []
        try:
            for raw in [*self._reader.feed(piece), *(self._reader.end() if last else ())]:
                shown += self._frame(raw)
        except Broken as error:
            self._broken = self._broken or str(error)
        return shown

    def _frame(self, raw: RawFrame) -> list[Frame]:
        body = raw.body
        if raw.type == "noise":
            text = self._redactor.text(plain(_text(body, "text")))
            if len(self._noise) < 20:
                self._noise.append(text)
            return [Frame("noise", text)] if text else []
        if raw.type == "refused":
            self._refused = True
            return []
        if raw.type == "hello":
            self.began = True
            return [Frame("hello", f"{_text(body, 'host')} began, PowerShell {_text(body, 'ps')}")]
        if raw.type == "bye":
            self._bye = body
            return []
        return self._of_call(raw)

    def _of_call(self, raw: RawFrame) -> list[Frame]:
        number = _text(raw.body, "call")
        call = self._calls.get(number)
        if call is None or call.result is not None:
            raise Broken(f"a {raw.type} frame for a call that is not running")
        if raw.type in ("verbose", "warning"):
            text = self._redactor.text(plain(_text(raw.body, "text")))
            if raw.type == "warning":
                call.warnings.append(text)
                return [Frame("warning", text, number)]
            return [Frame("verbose", text, number)]
        if raw.type == "error":
            red = self._red(raw.body)
            call.red.append(red)
            return [Frame("error", red.text, number, red)]
        if raw.type == "output":
            call.rows.append(self._row(raw.body))
        elif raw.type == "result":
            call.result = raw.body
        return []

    def _red(self, body: dict[str, Any]) -> RedLine:
        clean = {k: self._redactor.text(plain(_text(body, k))) for k in ("message", "red", "inner", "target")}
        return RedLine(
            message=clean["message"],
            text=clean["red"] or clean["message"],
            fqid=plain(_text(body, "fqid")),
            category=plain(_text(body, "category")),
            type=plain(_text(body, "type")),
            target=clean["target"],
            inner=clean["inner"],
            terminating=body.get("terminating") is True,
            raw=self._redactor.text(_text(body, "red")),
        )

    def _safe(self, red: RedLine) -> RedLine:
        clean = self._redactor.text
        return replace(red, message=clean(red.message), text=clean(red.text), raw=clean(red.raw))

    def _row(self, body: dict[str, Any]) -> Row:
        row = body.get("row")
        if not isinstance(row, dict):
            raise Broken("an output frame without a row")
        return {name: self._value(value) for name, value in row.items()}

    def _value(self, value: Any) -> Value:
        if isinstance(value, str):
            return self._redactor.known(value)
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, list) and all(v is None or isinstance(v, (str, bool, int)) for v in value):
            return tuple(self._redactor.known(v) if isinstance(v, str) else v for v in value)
        raise Broken("an output frame with a value that is neither text, number, yes/no nor a list of these")

    def ended(self, exit_code: int) -> tuple[list[Frame], tuple[Answer, ...]]:
        """The command is over on the server: the last frames to show, and the answers."""
        shown = self._take(b"", last=True)
        if self._refused and not self.began:
            return shown, self._all(self._damaged())
        if not self.began and not self._reader.frames and not self._broken:
            return shown, self._all(self._never_began(exit_code))
        wrong = self._broken or self._what_is_wrong()
        if wrong:
            return shown, self.broke_off(
                f"{self._host} has ended the command, but its answer is incomplete ({wrong}), so it is not certain "
                "what was done.",
                "answer",
            )
        return shown, tuple(self._proven(call) for call in self._calls.values())

    def broke_off(self, sentence: str, reason: UnknownReason) -> tuple[Answer, ...]:
        """Nothing more will come. Looks whose own result is complete keep it."""
        answers: list[Answer] = []
        # What PowerShell itself wrote when it fell belongs to the call that was running.
        rest = [self._safe(red) for red in errors_of(self._stderr.decode("utf-8", "replace"))] if self.began else []
        for call in self._calls.values():
            if self._looks and not self._broken and self._complete(call):
                answers.append(self._proven(call))
            else:
                answers.append(Unknown(sentence, reason, (*call.red, *rest), self.began))
                rest = []
        return tuple(answers)

    def _all(self, answer: Answer) -> tuple[Answer, ...]:
        return tuple(answer for _ in self._calls)

    def _what_is_wrong(self) -> str:
        """Why the end cannot be trusted; empty when everything adds up."""
        bye = self._bye
        if bye is None:
            return "the end is missing"
        if bye.get("frames") != self._reader.frames:
            return f"{self._reader.frames} of {bye.get('frames')} lines arrived"
        if bye.get("sha256") != self._reader.sha256:
            return "the check sum differs"
        if bye.get("lost") != 0:
            return f"{bye.get('lost')} records could not be reported"
        if not all(self._complete(call) for call in self._calls.values()):
            return "the figures of a call do not add up"
        return ""

    @staticmethod
    def _complete(call: _OneCall) -> bool:
        result = call.result
        if result is None or result.get("errors") != len(call.red) or not _is_count(result.get("count")):
            return False
        return call.counted_only or result["count"] == len(call.rows)

    def _proven(self, call: _OneCall) -> Done | RedText:
        assert call.result is not None
        count, ms = call.result["count"], call.result.get("ms")
        elapsed = ms if isinstance(ms, int) else 0
        if not call.red:
            return Done(tuple(call.rows), count, elapsed, tuple(call.warnings))
        cut = call.result.get("terminated") is True
        return RedText(tuple(call.red), tuple(call.rows), count, elapsed, tuple(call.warnings), cut)

    def _damaged(self) -> Refused:
        return Refused(
            f"The order reached {self._host} damaged and was not carried out. Nothing was run. Try again.", "runner"
        )

    def _never_began(self, exit_code: int) -> Refused:
        """PowerShell ended before the runner said hello. Its own words are the best explanation there is."""
        stderr = self._stderr.decode("utf-8", "replace")
        words = [red.message for red in errors_of(stderr)] or self._noise
        said = self._redactor.text(" ".join(words))[:300].strip()
        quoted = f' It said: "{said}".' if said else ""
        return Refused(
            f"{self._host} did not start the runner (exit code {exit_code}).{quoted} Nothing was run. "
            "Look at its PowerShell policy (execution, language mode, application control) and at its log.",
            "policy",
        )


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else "" if value is None else str(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
