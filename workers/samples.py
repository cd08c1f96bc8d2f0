"""Samples: how every pair's backup is, asked about once a minute while all is well.

A lost pool can no longer be asked when its backup was last good, nor when it fell silent; so both are kept before.
What is kept lies in the store for a day, signed by the worker that looked. It is shown (how much is lost, when the
outage began) and never assumed: no plan and no approval leans on it.

A host that turns our account away counts that as a failed logon, and Windows locks an account after a few of them
(Microsoft, "Account lockout threshold"). So it is left alone longer and longer, and the home channel is told.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, ValidationError

from incident.doorbell import Doorbell
from incident.journal import JournalError
from incident.keys import Keys
from incident.record import canonical
from playbooks.facts import HERE, AnyLook, CallLook, NoAnswer, PortLook, SampleAnswer, good_backups, read, sample_looks
from workers.looking import Answers, utc_text
from workers.remote.door import RunId
from workers.remote.wary import pause_after
from workers.tools import Tools

BUDGET_S: Final = 8.0
"""How long the servers may take to answer one sample, in seconds; a survey may be waiting for this worker."""
LEASE_S: Final = 30.0
GAP: Final = timedelta(minutes=5)
"""An outage is said to have begun at the last answer only where the next look came within this time."""

Moment = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sampled(_Kept):
    """What is kept about one pool."""

    good_at: Moment | None = None
    last_answer: Moment | None = None
    missed_at: Moment | None = None
    """The first sample after `last_answer` that the pool did not answer."""


class Denied(_Kept):
    """A host that turned our account away, and until when it is left alone."""

    since: Moment
    pause_s: int
    until: Moment


class Samples(_Kept):
    """All that is kept."""

    at: Moment
    pools: Mapping[str, Sampled] = {}
    denied: Mapping[str, Denied] = {}

    def data(self) -> dict[str, Any]:
        """As plain data, for the store."""
        return self.model_dump(mode="json")


# --- keeping ------------------------------------------------------------------------------------------------


def sample(tools: Tools) -> None:
    """Asks every paired pool once and keeps what is new. Two at a time help nobody: the second does nothing."""
    owner = secrets.token_hex(8)
    if tools.sign is None or not tools.journal.lease("sample", owner, LEASE_S):
        return
    try:
        before = _believed(tools.bell.kept_samples(), tools.keys) or Samples(at=datetime.now(UTC))
        _keep(tools, taken(tools, before))
    finally:
        tools.journal.release("sample", owner)


def taken(tools: Tools, before: Samples) -> Samples:
    """One sample, laid over what was kept before."""
    estate, now = tools.own.estate, datetime.now(UTC)
    asked = [look for look in sample_looks(estate) if isinstance(look, CallLook)]
    asked = [look for look in asked if look.host not in before.denied or before.denied[look.host].until <= now]
    # The doors first: a dead host costs seconds there, and a start of the runner would cost the whole budget.
    doors: list[AnyLook] = [PortLook(host=look.host, feeds=(f"answers.{look.host}.{HERE}",)) for look in asked]
    seen = read(estate, doors, tools.looker.look(doors, BUDGET_S, RunId("now", "sample", 1)))
    alive = {look.host for look in asked if seen.value(f"answers.{look.host}.{HERE}") is True}
    answers = tools.looker.look([look for look in asked if look.host in alive], BUDGET_S, RunId("now", "sample", 1))
    good = good_backups(estate, read(estate, asked, answers))
    moment = datetime.now(UTC)
    pools = dict(before.pools)
    for pool in (pool for pool in estate.pool if any(look.host == pool.front_end for look in asked)):
        old = pools.get(pool.name, Sampled())
        kept = {"last_answer": moment, "missed_at": None} if pool.front_end in alive else {
            "missed_at": old.missed_at or moment
        }  # fmt: skip
        if pool.name in good:
            kept["good_at"] = datetime.fromisoformat(good[pool.name])
        pools[pool.name] = old.model_copy(update=kept)
    return Samples(at=moment, pools=pools, denied=_denied(before, asked, answers, moment))


def _denied(before: Samples, asked: list[CallLook], answers: Answers, now: datetime) -> dict[str, Denied]:
    """Hosts that turned our account away: the pause doubles each time, and ends with the first logon that works."""
    found = dict(before.denied)
    for look in asked:
        answer = answers.get(look.id)
        if isinstance(answer, NoAnswer) and answer.denied:
            old = found.get(look.host)
            pause = pause_after(0 if old is None else old.pause_s)
            since = now if old is None else old.since
            found[look.host] = Denied(since=since, pause_s=pause, until=now + timedelta(seconds=pause))
        elif answer is not None and not isinstance(answer, NoAnswer):
            found.pop(look.host, None)
    return found


def _keep(tools: Tools, samples: Samples) -> None:
    assert tools.sign is not None
    data = samples.data()
    signed = base64.b64encode(tools.sign(_said(data))).decode()
    tools.bell.keep_samples({"samples": data, "by": tools.name, "s": signed})


# --- believing ----------------------------------------------------------------------------------------------


def _said(data: Any) -> bytes:
    return hashlib.sha256(canonical({"samples": data})).digest()


def _believed(kept: Mapping[str, Any], keys: Keys) -> Samples | None:
    """What is kept, if a known worker signed it; anything else is as if nothing were kept."""
    try:
        writer = keys[str(kept["by"])]
        signature = base64.b64decode(str(kept["s"]), validate=True)
        if writer.kind != "worker" or not writer.signed(_said(kept["samples"]), signature):
            return None
        return Samples.model_validate(kept["samples"])
    except (KeyError, ValueError, TypeError, binascii.Error, ValidationError):
        return None


def sampled(bell: Doorbell, keys: Keys) -> dict[str, SampleAnswer]:
    """What is known of each pool from samples, for whoever looks. Nothing, where the store is away."""
    try:
        kept = _believed(bell.kept_samples(), keys)
    except JournalError:
        return {}
    now = datetime.now(UTC)
    return {} if kept is None else {name: _answer(one, now) for name, one in kept.pools.items()}


def _answer(one: Sampled, now: datetime) -> SampleAnswer:
    last = one.last_answer
    if last is not None and (one.missed_at or now) - last > GAP:
        # Nobody looked for a while: the outage may have begun long after that answer.
        last = None
    return SampleAnswer(
        at=utc_text(now),
        good_at=utc_text(one.good_at) if one.good_at else None,
        last_answer=utc_text(last) if last else None,
    )
