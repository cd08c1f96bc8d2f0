"""Looking at the estate: questions in, answers out, all at once, and never longer than the budget.

Every host gets one start of the runner with all its questions in order; every DNS question and every door has a
thread of its own. What has not come back when the budget is over is *no answer*, with a reason a person can read;
a thread that is still waiting is left behind and ends with its own deadline.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from playbooks.facts import (
    AnyAnswer,
    AnyLook,
    CallAnswer,
    CallLook,
    DnsAnswer,
    DnsLook,
    NoAnswer,
    PortAnswer,
    PortLook,
    SampleAnswer,
    SampleLook,
    batches,
)
from workers.remote.dns import Answered, Question, ask
from workers.remote.door import Answer, Deadline, Done, RedText, Refused, Remote, RunId

Answers = Mapping[str, AnyAnswer]
"""Look id -> what came back."""


class Places(Protocol):
    """Where things are reached: host name -> address. None where the endpoints file has no place for the host."""

    def door(self, host: str) -> tuple[str, int] | None:
        """Address and port of the host's remote-management door."""
        ...

    def dns(self, host: str) -> tuple[str, int] | None:
        """Address and port at which the DNS server answers questions."""
        ...


@dataclass(frozen=True)
class Looker:
    """Puts looks to the estate. Reads only; may be used by several threads at once."""

    remote: Remote
    places: Places
    dns_s: float = 3.0
    """How long one DNS question may take, UDP and TCP together, in seconds."""
    port_s: float = 3.0
    """How long a door may be silent before it counts as silent, in seconds."""
    samples: Callable[[], Mapping[str, SampleAnswer]] = dict
    """What samples say of each pool, as far as this installation keeps them; asked once a look that wants it."""

    def look(self, looks: Iterable[AnyLook], budget_s: float, run: RunId) -> Answers:
        """The answers to `looks`, after `budget_s` seconds at the latest; a late one is missing from the answers."""
        asked = tuple(looks)
        deadline = Deadline.after(budget_s)
        # A host that hangs on its last question must still hand over the answers to the others in time.
        on_host = Deadline.after(budget_s - min(1.0, budget_s / 4))
        board = _Board()
        work: list[tuple[int, Callable[[], None]]] = []
        for host, calls in batches(asked).items():
            work.append((len(calls), _job(self._ask_host, board, host, calls, run, on_host)))
        for one in asked:
            if isinstance(one, DnsLook):
                work.append((1, _job(self._ask_dns, board, one, deadline)))
            elif isinstance(one, PortLook):
                work.append((1, _job(self._ask_port, board, one, deadline)))
            elif isinstance(one, SampleLook):
                work.append((1, _job(self._ask_samples, board, one)))
        threads = [threading.Thread(target=do, daemon=True, name="look") for _, do in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(deadline.left())
        return board.taken()

    # --- one host, one runner -------------------------------------------------------------------------------

    def _ask_host(self, board: _Board, host: str, looks: Sequence[CallLook], run: RunId, deadline: Deadline) -> None:
        answers = self.remote.run_many(host, [look.call for look in looks], run, deadline)
        for look, answer in zip(looks, answers, strict=True):
            board.put(look.id, call_answer(answer))

    # --- DNS ------------------------------------------------------------------------------------------------

    def _ask_dns(self, board: _Board, look: DnsLook, deadline: Deadline) -> None:
        board.put(look.id, self.ask_dns(look, min(self.dns_s, deadline.left())))

    def ask_dns(self, look: DnsLook, limit_s: float) -> DnsAnswer | NoAnswer:
        """Asks the named server itself, by UDP and then TCP; never the system's resolver."""
        place = self.places.dns(look.server)
        if place is None:
            return NoAnswer(reason=f"the endpoints file has no dns address for {look.server}")
        answer = ask(Question(look.server, place[0], place[1], look.name, look.type), max(0.05, limit_s))
        if isinstance(answer, Answered):
            return DnsAnswer(at=utc_text(), values=answer.values, ttl=answer.ttl)
        return NoAnswer(reason=_part(answer.sentence))

    # --- doors ----------------------------------------------------------------------------------------------

    def _ask_port(self, board: _Board, look: PortLook, deadline: Deadline) -> None:
        board.put(look.id, self.ask_port(look, min(self.port_s, deadline.left())))

    def ask_port(self, look: PortLook, limit_s: float) -> PortAnswer | NoAnswer:
        """Whether a TCP connection is taken up. Silence is an answer too: so a lost site looks."""
        place = self.places.door(look.host)
        if place is None:
            return NoAnswer(reason=f"the endpoints file has no place for {look.host}")
        try:
            with socket.create_connection(place, timeout=max(0.05, limit_s)):
                return PortAnswer(at=utc_text(), how="accepted")
        except TimeoutError:
            return PortAnswer(at=utc_text(), how="silent")
        except ConnectionRefusedError:
            return PortAnswer(at=utc_text(), how="refused")
        except OSError as trouble:
            if trouble.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN):
                return PortAnswer(at=utc_text(), how="unreachable")
            return NoAnswer(reason=f"{look.host} could not be tried ({_why(trouble)})")

    # --- samples --------------------------------------------------------------------------------------------

    def _ask_samples(self, board: _Board, look: SampleLook) -> None:
        none = NoAnswer(reason=f"this installation has kept no backup sample of {look.pool}")
        board.put(look.id, self.samples().get(look.pool, none))


class _Board:
    """Where threads leave answers. What is put after it was taken is lost, and that is meant."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[str, AnyAnswer] = {}
        self._closed = False

    def put(self, look: str, answer: AnyAnswer) -> None:
        with self._lock:
            if not self._closed:
                self._answers[look] = answer

    def taken(self) -> Answers:
        with self._lock:
            self._closed = True
            return dict(self._answers)


def _job(do: Callable[..., None], *given: object) -> Callable[[], None]:
    return lambda: do(*given)


def call_answer(answer: Answer) -> CallAnswer | NoAnswer:
    """What the door answered, as the playbooks read it."""
    if isinstance(answer, Done | RedText):
        rows = tuple({k: list(v) if isinstance(v, tuple) else v for k, v in row.items()} for row in answer.rows)
        errors = tuple(f"{red.message} {red.fqid}".strip() for red in answer.red)
        return CallAnswer(at=utc_text(), rows=rows, errors=errors, count=answer.count)
    denied = isinstance(answer, Refused) and answer.reason == "credentials"
    return NoAnswer(reason=_part(answer.sentence), denied=denied)


def _part(sentence: str) -> str:
    """A sentence as part of another one: without its full stop and its capital, unless that is a name's."""
    text = sentence.strip().rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _why(trouble: BaseException) -> str:
    if isinstance(trouble, OSError) and trouble.strerror:
        return trouble.strerror
    return type(trouble).__name__


def utc_text(moment: datetime | None = None) -> str:
    """Now, or `moment`, as RFC 3339 UTC with milliseconds."""
    at = (moment or datetime.now(UTC)).astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
