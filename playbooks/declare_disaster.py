"""Declared disaster: one pool of a pair is lost, and its partner takes its users. Facts in, plan or hard stop out.

The order is Microsoft's ("Failing over a pool", Lync Server 2013, and its Skype for Business twin) with one change
that it forces itself: nothing can be written while the Central Management Store is dead, so the CMS moves before the
Edge next hop, and the next hop before the pool (the pool's cmdlet refuses while an Edge still points at it).
Every fact may be unknown, and each has an answer here: the step is planned from the estate file, its probe looks
again at run time, and the approver is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from playbooks import facts as look
from playbooks.catalogue import call
from playbooks.estate import DnsRecord, DnsServer, EdgePool, Estate, Pair, Pool, Timing, is_fqdn, is_ipv4
from playbooks.facts import HERE, NONE, RUNNING_PLAINLY, Facts, Known, backup_faults
from playbooks.plan import (
    Assumption,
    Check,
    HardStop,
    HumanTask,
    Offer,
    Plan,
    Poll,
    Predicate,
    Step,
    Warn,
    every,
    fact_is,
    listed,
    negated,
)

KIND = "declare-disaster"
NOT_CARRIED = (
    "Response Groups, unless imported on the partner",
    "Call Park: parked calls are dropped",
    "Announcements for unassigned numbers",
    "E911 addresses (LIS)",
)
"""What a pool failover leaves behind (Response Group, announcement, Call Park and LIS pages of the documentation)."""


@dataclass(frozen=True)
class _Case:
    """One declaration: the lost pool, the one that takes over, and what was seen."""

    estate: Estate
    pair: Pair
    lost: Pool
    heir: Pool
    facts: Facts

    @property
    def host(self) -> str:
        return self.heir.front_end


def declare_disaster(estate: Estate, pool: str, facts: Facts) -> Plan | HardStop:
    """The plan that moves the users of ``pool`` to its partner, or the reason why there cannot be one."""
    lost = estate.find_pool(pool)
    if lost is None:
        near = estate.suggestions(pool)
        return HardStop(
            code="unknown-pool",
            why=f"There is no pool called {pool!r} in the estate file. Nothing was changed.",
            do="Declare the pool by its short name.",
            suggestions=near,
        )
    pair, heir = estate.pair_of(lost.name), estate.partner_of(lost.name)
    if pair is None or heir is None:
        return _unpaired(lost, "the estate file gives it no partner")
    case = _Case(estate, pair, lost, heir, facts)
    return _stop(case) or _plan(case)


def _plan(case: _Case) -> Plan:
    already: list[str] = []
    left_out: list[str] = []
    steps = [*_cms(case, already), *_edges(case, already), *_pool(case, already)]
    steps += [*_dns(case, already, left_out)]
    steps += [*_proof(case, left_out, named=any(s.id == "dns.answers" for s in steps))]
    return Plan(
        kind=KIND,
        pool=case.lost.name,
        pool_fqdn=case.lost.fqdn,
        pool_site=case.lost.site,
        partner=case.heir.name,
        partner_fqdn=case.heir.fqdn,
        partner_site=case.heir.site,
        rto_s=case.pair.rto_s,
        steps=tuple(steps),
        assumptions=tuple(_assumptions(case, steps)),
        warnings=tuple(sorted(_warnings(case, steps), key=lambda w: w.level != "red")),
        already=tuple(already),
        left_out=tuple(left_out),
        not_carried=NOT_CARRIED,
    )


# Hard stops: no card at all.


def _unpaired(lost: Pool, because: str) -> HardStop:
    return HardStop(
        code="unpaired",
        why=f"{lost.name} has no backup pool: {because}. Nothing was changed.",
        do="A pool without a partner cannot be failed over; recover it itself, from the printed runbook.",
    )


def _stop(case: _Case) -> HardStop | None:
    lost, heir, facts = case.lost, case.heir, case.facts
    if not _heir_answers(case):
        return _silent(case)
    if not _heir_obeys(case):
        return _mute(case)
    backup = facts.text(f"backup_pool.{lost.name}")
    if backup not in (None, heir.name):
        return _unpaired(lost, f"the servers say that it is backed up by {backup}, the estate file says {heir.name}")
    state = facts.text(f"pool_state.{heir.name}")
    if state in ("FailedOver", "FailingOver"):
        return HardStop(
            code="partner-failed-over",
            why=(
                f"{heir.name} {heir.site} is itself {state}: its own users are served elsewhere, and a pool in that "
                "state cannot take others. Nothing was changed."
            ),
            do=f"Fail {heir.name} back first, then declare {lost.name} again.",
            offers=(Offer(text=f"Status of {heir.name}", kind="status", pool=heir.name),),
        )
    return None


def _heir_answers(case: _Case) -> bool:
    """Whether anything at all came back from the partner: its door, or one cmdlet's answer."""
    return case.facts.value(f"answers.{case.heir.name}.{HERE}") is True or _heir_obeys(case)


def _heir_obeys(case: _Case) -> bool:
    """Whether at least one cmdlet's answer came back from the partner: without that, no step could be carried out."""
    return any(isinstance(f, Known) and f.source.endswith(f" on {case.host}") for f in case.facts.values())


def _mute(case: _Case) -> HardStop:
    lost, heir = case.lost, case.heir
    why = case.facts.why(f"pool_state.{heir.name}") or case.facts.why("cms.scp")
    return HardStop(
        code="partner-mute",
        why=(
            f"{heir.name} {heir.site} can be reached, but no cmdlet could be run there"
            f"{f' ({why})' if why else ''}. Nothing was changed."
        ),
        do=f"Mend WinRM, certificate or account on {heir.front_end}; it is looked at again by itself.",
        offers=(Offer(text="Look again", kind=KIND, pool=lost.name), Offer(text="Cancel")),
    )


def _silent(case: _Case) -> HardStop:
    lost, heir = case.lost, case.heir
    if _answering_from(case):
        return HardStop(
            code="wrong-pool",
            why=(
                f"{lost.name} {lost.site} answers, {heir.name} {heir.site} does not. {heir.name} cannot take "
                f"{lost.name}'s users. Nothing was changed."
            ),
            do=f"If {heir.name} is the lost pool, declare {heir.name}.",
            offers=(Offer(text=f"Declare {heir.name} instead", kind=KIND, pool=heir.name), Offer(text="Cancel")),
        )
    why = case.facts.why(f"answers.{heir.name}.{HERE}")
    return HardStop(
        code="partner-silent",
        why=(
            f"{heir.name} {heir.site} does not answer{f' ({why})' if why else ''}, and neither does {lost.name}. "
            "Nobody could take the users. Nothing was changed."
        ),
        do=f"Check the line from here to {heir.site} first; then look again.",
        offers=(Offer(text="Look again", kind=KIND, pool=lost.name), Offer(text="Cancel")),
    )


def _answering_from(case: _Case) -> tuple[str, ...]:
    """Places from which the named pool answers."""
    places = (HERE, case.heir.name)
    return tuple(p for p in places if case.facts.value(f"answers.{case.lost.name}.{p}") is True)


# Steps.


def _check(so: Predicate, *looks: look.AnyLook) -> Check:
    return Check(looks=looks, so=so)


def _poll(check: Check, timing: Timing) -> Poll:
    return Poll(looks=check.looks, so=check.so, every_s=timing.poll_s, limit_s=timing.verify_limit_s)


def _cms_pool(case: _Case) -> str | None:
    """The pool that hosts the CMS by the best view that is known: AD, then the topology, then this server's own."""
    for fact in ("cms.scp", "cms.service", "cms.connection"):
        found = case.facts.text(fact)
        if found and found != NONE and "+" not in found:
            return found
    return None


def _cms_target(case: _Case) -> tuple[Pool, Pool] | None:
    """From which pool to which the CMS must move, or None when it may stay where it is.

    "Failing over a pool", step 4: move it when its pool is the one being failed over, or when it is unavailable.
    """
    seat = _cms_pool(case) or case.estate.cms_home
    master = case.facts.text("cms.master")
    if seat == case.heir.name and master in (None, case.heir.name):
        return None
    if seat in case.pair.pools:
        return case.lost, case.heir
    home, refuge = case.estate.find_pool(seat), case.estate.partner_of(seat)
    # The CMS of another pair: only when the servers say that nobody runs it; its own declaration may do it as well,
    # and whichever comes second finds it already so.
    if master == NONE and home is not None and refuge is not None:
        return home, refuge
    return None


def _cms(case: _Case, already: list[str]) -> Iterable[Step]:
    moves = _cms_target(case)
    if moves is None:
        already.append(f"The Central Management Store is on {_cms_pool(case) or case.estate.cms_home} and stays there.")
        return
    home, refuge = moves
    timing, host = case.estate.timing.cms, refuge.front_end
    on_refuge = fact_is("cms.master", refuge.name)
    looks = (look.scp_look(host), look.master_look(host))
    yield Step(
        id="cms",
        part="cms",
        title=f"Central Management Store to {refuge.name}",
        host=host,
        effect="once",
        rerun="undocumented",
        holds=("cms",),
        probe=_check(every(on_refuge, fact_is("cms.scp", refuge.name)), *looks),
        untouched=every(fact_is("cms.scp", home.name), fact_is("cms.master", NONE, home.name)),
        act=call(
            "Invoke-CsManagementServerFailover",
            BackupSqlServerFqdn=refuge.sql_fqdn,
            BackupSqlInstanceName=refuge.sql_instance,
            Force=True,
            Confirm=False,
        ),
        verify=_poll(_check(on_refuge, look.master_look(host)), timing),
        limit_s=timing.limit_s,
        usual_s=timing.usual_s,
        note="Forced: configuration changed in the last minutes before the loss may be lost.",
    )


def _edges(case: _Case, already: list[str]) -> Iterable[Step]:
    for edge in case.estate.edge:
        hop = case.facts.text(f"edge.{edge.name}")
        points_at = hop or edge.next_hop
        if points_at != case.lost.name:
            already.append(f"Edge pool {edge.name} points at {points_at}, not at {case.lost.name}.")
            continue
        yield _edge(case, edge)


def _edge(case: _Case, edge: EdgePool) -> Step:
    timing, fact = case.estate.timing.edge, f"edge.{edge.name}"
    moved = _check(fact_is(fact, case.heir.name), look.edge_look(case.host, [edge.name]))
    return Step(
        id=f"edge.{edge.name}",
        part="edge",
        title=f"Next hop of Edge pool {edge.name} to {case.heir.name}",
        host=case.host,
        effect="converge",
        rerun="harmless",
        holds=(f"edge:{edge.name}",),
        probe=moved,
        untouched=fact_is(fact, case.lost.name),
        act=call(
            "Set-CsEdgeServer",
            Identity=f"EdgeServer:{edge.fqdn}",
            Registrar=f"Registrar:{case.heir.fqdn}",
            Confirm=False,
        ),
        verify=_poll(moved, timing),
        limit_s=timing.limit_s,
        usual_s=timing.usual_s,
        previous=(case.lost.fqdn,),
        note="The Edge servers follow by replication, usually within some minutes.",
    )


def _pool(case: _Case, already: list[str]) -> Iterable[Step]:
    lost, timing, fact = case.lost, case.estate.timing.pool, f"pool_state.{case.lost.name}"
    if case.facts.text(fact) == "FailedOver":
        already.append(f"{lost.name} is already failed over to {case.heir.name}.")
        return
    # The live store, not the local replica, which lags behind a change by minutes.
    moved = _check(fact_is(fact, "FailedOver"), look.registrar_look(case.host, [lost.name], local=False))
    yield Step(
        id="pool",
        part="pool",
        title=f"Pool failover of {lost.name}, disaster mode",
        host=case.host,
        effect="once",
        rerun="documented",
        holds=(f"pool:{lost.name}", f"pool:{case.heir.name}"),
        probe=moved,
        untouched=fact_is(fact, *RUNNING_PLAINLY),
        act=call("Invoke-CsPoolFailOver", PoolFqdn=lost.fqdn, DisasterMode=True, Verbose=True, Confirm=False),
        verify=_poll(moved, timing),
        limit_s=timing.limit_s,
        usual_s=timing.usual_s,
        note="Cannot be stopped once begun.",
    )


def _reachable(case: _Case) -> tuple[DnsServer, ...]:
    """DNS servers worth planning for, those of the surviving site first: the door is open and a name was answered."""
    named = [s for s in case.estate.dns_server if any(_answered(case, r, s) is not None for r in _records(case))]
    up = [s for s in named if case.facts.value(f"answers.{s.name}.{HERE}") is not False]
    return tuple(sorted(up, key=lambda s: s.site != case.heir.site))


def _records(case: _Case) -> tuple[DnsRecord, ...]:
    return case.estate.records_of(case.pair)


def _answered(case: _Case, record: DnsRecord, server: DnsServer) -> tuple[str, ...] | None:
    return case.facts.names(f"dns.{record.key}.{server.name}")


def _values(case: _Case, record: DnsRecord, server: DnsServer) -> tuple[str, ...] | None:
    """What the name holds there; None when it is unknown, or when no call could express it."""
    held = _answered(case, record, server)
    fits = is_ipv4 if record.type == "A" else is_fqdn
    return held if held is not None and all(fits(v) for v in held) else None


def _why_unread(case: _Case, record: DnsRecord, server: DnsServer) -> str:
    return case.facts.why(f"dns.{record.key}.{server.name}") or "it holds values of another kind"


def _dns(case: _Case, already: list[str], left_out: list[str]) -> Iterable[Step]:
    servers = _reachable(case)
    for server in case.estate.dns_server:
        if server not in servers and any(server in case.estate.servers_of(r) for r in _records(case)):
            left_out.append(
                f"DNS on {server.name} {server.site}: not reachable; change its names by hand when it is back."
            )
    right: list[tuple[DnsRecord, DnsServer]] = []
    for record in _records(case):
        for server in (s for s in servers if s in case.estate.servers_of(record)):
            held = _values(case, record, server)
            if held is None:
                why = _why_unread(case, record, server)
                left_out.append(f"{record.fqdn} on {server.name} could not be read ({why}): change it by hand.")
                continue
            right.append((record, server))
            if set(held) == set(record.values[case.heir.name]):
                already.append(f"{record.fqdn} on {server.name} already points at {case.heir.name}.")
            else:
                yield from _rewrite(case, record, server, held)
    if right:
        yield _all_answers(case, right)


def _rewrite(case: _Case, record: DnsRecord, server: DnsServer, held: tuple[str, ...]) -> Iterable[Step]:
    """Add the new values, then remove each old one: the name is never empty. A CNAME can have only one value, so
    there the old one goes first and the name is empty for a moment; one call a step either way."""
    wanted = record.values[case.heir.name]
    adds = [(v, f"dns.{record.key}.{server.name}" + _nth(n)) for n, v in enumerate(v for v in wanted if v not in held)]
    drops = [
        (v, f"dns.{record.key}.{server.name}.drop" + _nth(n)) for n, v in enumerate(v for v in held if v not in wanted)
    ]
    added = [_write(case, record, server, held, value, step_id, "add") for value, step_id in adds]
    dropped = [_write(case, record, server, held, value, step_id, "drop") for value, step_id in drops]
    return [*dropped, *added] if record.type == "CNAME" else [*added, *dropped]


def _nth(index: int) -> str:
    return f".{index + 1}" if index else ""


def _write(
    case: _Case,
    record: DnsRecord,
    server: DnsServer,
    held: tuple[str, ...],
    value: str,
    step_id: str,
    what: Literal["add", "drop"],
) -> Step:
    timing, fact = case.estate.timing.dns, f"dns.{record.key}.{server.name}"
    has, lacks = listed("has", fact, [value]), listed("lacks", fact, [value])
    so, before = (has, lacks) if what == "add" else (lacks, has)
    check = _check(so, look.dns_look(server.fqdn, server.name, record))
    if what == "drop":
        kind = "A" if record.type == "A" else "CName"
        act = call(
            "Remove-DnsServerResourceRecord",
            ZoneName=record.zone,
            Name=record.name,
            RRType=kind,
            RecordData=value if record.type == "A" else f"{value}.",
            Force=True,
        )
    elif record.type == "A":
        act = call(
            "Add-DnsServerResourceRecordA",
            ZoneName=record.zone,
            Name=record.name,
            IPv4Address=value,
            TimeToLive=_timespan(record.ttl_s),
        )
    else:
        act = call(
            "Add-DnsServerResourceRecordCName",
            ZoneName=record.zone,
            Name=record.name,
            HostNameAlias=value,
            TimeToLive=_timespan(record.ttl_s),
        )
    return Step(
        id=step_id,
        part="dns",
        title=f"{record.name} on {server.name}: {'add' if what == 'add' else 'remove'} {value}",
        host=server.fqdn,
        effect="converge",
        rerun="harmless",
        holds=(f"zone:{record.zone}",),
        probe=check,
        untouched=before,
        act=act,
        verify=_poll(check, timing),
        limit_s=timing.limit_s,
        usual_s=timing.usual_s,
        on_failure="degraded",
        previous=held,
    )


def _timespan(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    days, hours = divmod(hours, 24)
    return (f"{days}." if days else "") + f"{hours:02}:{rest // 60:02}:{rest % 60:02}"


def _all_answers(case: _Case, right: list[tuple[DnsRecord, DnsServer]]) -> Step:
    timing = case.estate.timing.dns
    so = every(*(listed("same_set", f"dns.{r.key}.{s.name}", r.values[case.heir.name]) for r, s in right))
    looks = tuple(look.dns_look(s.fqdn, s.name, r) for r, s in right)
    servers = ", ".join(dict.fromkeys(s.name for _, s in right))
    return Step(
        id="dns.answers",
        part="dns",
        title=f"Every name answers with {case.heir.name} on {servers}",
        host=case.host,
        effect="observe",
        rerun="harmless",
        verify=Poll(looks=looks, so=so, every_s=timing.poll_s, limit_s=timing.verify_limit_s),
        limit_s=timing.verify_limit_s,
        usual_s=timing.usual_s,
        on_failure="degraded",
    )


def _proof(case: _Case, left_out: list[str], *, named: bool) -> Iterable[Step]:
    """Sign-in, then the meeting page; that one only where names are followed, as it is found by its name."""
    timing, lost = case.estate.timing.proof, case.lost
    user = next((u for u in case.estate.test_user if u.pool == lost.name), None)
    if user is not None:
        asked = look.signin_look(case.host, lost, case.heir, user.sip)
        yield Step(
            id="proof.signin",
            part="proof",
            title=f"A {lost.name} test user signs in through {case.heir.name}",
            host=case.host,
            effect="observe",
            rerun="harmless",
            verify=_poll(_check(fact_is(f"signin.{lost.name}", "Success"), asked), timing),
            limit_s=timing.verify_limit_s,
            usual_s=timing.usual_s,
            on_failure="degraded",
        )
    if user is not None and named:
        asked = look.meeting_look(case.host, case.heir)
        yield Step(
            id="proof.meeting",
            part="proof",
            title=f"The meeting page answers through {case.heir.name}",
            host=case.host,
            effect="observe",
            rerun="harmless",
            verify=_poll(_check(fact_is(f"meeting.{case.heir.name}", "Success"), asked), timing),
            limit_s=timing.verify_limit_s,
            usual_s=timing.usual_s,
            on_failure="degraded",
            note=f"{case.heir.name} itself may keep the old address of the page until the name's TTL is over.",
        )
    elif user is not None:
        left_out.append("The meeting page is not proven, as no name could be followed: open a meeting link by hand.")
    if user is None or case.pair.ask_person:
        yield Step(
            id="proof.person",
            part="proof",
            title="A person signs in and sees no red banner",
            host=case.host,
            effect="observe",
            rerun="harmless",
            act=HumanTask(
                text=f"Sign in as a {lost.site} user. Look at contacts, and for a red banner at the top of the client.",
                confirms=f"A {lost.site} user signed in, contacts are there, and there is no red banner.",
            ),
            limit_s=86_400,
            usual_s=timing.usual_s,
            on_failure="degraded",
        )


# Assumptions: what must stay as it was seen, each with the first step that leans on it.


def _assumptions(case: _Case, steps: list[Step]) -> Iterable[Assumption]:
    """An unknown fact is assumed harmless until it is seen to be otherwise: then the approval is asked for again."""
    lost, heir, facts = case.lost, case.heir, case.facts
    first = steps[0].id if steps else ""
    if facts.value(f"answers.{heir.name}.{HERE}") is True:
        yield Assumption(
            predicate=fact_is(f"answers.{heir.name}.{HERE}", True),
            why=f"{heir.name} has to take the users",
            step=first,
            firm=True,
        )
    if not _answering_from(case):
        for place in (HERE, heir.name):
            yield Assumption(
                predicate=negated(fact_is(f"answers.{lost.name}.{place}", True)),
                why=f"a {lost.name} that answers is not lost",
                step=first,
            )
    yield from _states(case, first)
    moves = _cms_target(case)
    if moves is not None:
        seats = {p.name for p in moves} | {facts.text("cms.scp") or moves[0].name}
        yield Assumption(predicate=fact_is("cms.scp", *sorted(seats)), why="the CMS is moved from there", step="cms")
    for edge in case.estate.edge:
        seats = {facts.text(f"edge.{edge.name}") or edge.next_hop, heir.name}
        yield Assumption(
            predicate=fact_is(f"edge.{edge.name}", *sorted(seats)),
            why="the pool's cmdlet refuses while an Edge pool points at the lost pool",
            step=f"edge.{edge.name}" if any(s.id == f"edge.{edge.name}" for s in steps) else "pool",
        )
    yield from _names(case, steps)


def _states(case: _Case, first: str) -> Iterable[Assumption]:
    lost, heir, facts = case.lost, case.heir, case.facts
    for pool, more, why, step in (
        (heir, (), f"a {heir.name} that is itself failed over cannot take others", first),
        (lost, ("FailedOver",), "somebody else may have begun a failover", "pool"),
    ):
        seen = facts.text(f"pool_state.{pool.name}")
        states = dict.fromkeys((*RUNNING_PLAINLY, *more, *((seen,) if seen else ())))
        yield Assumption(predicate=fact_is(f"pool_state.{pool.name}", *states), why=why, step=step)
    yield Assumption(
        predicate=listed("within", f"services.{heir.name}", facts.names(f"services.{heir.name}") or ()),
        why=f"{heir.name} needs its services to take the users",
        step=first,
    )


def _names(case: _Case, steps: list[Step]) -> Iterable[Assumption]:
    first_writes = {s.probe.so.fact: s for s in reversed(steps) if s.part == "dns" and s.changes and s.probe}
    for fact, step in reversed(first_writes.items()):
        record = next(r for r in _records(case) if fact.rsplit(".", 1)[0] == f"dns.{r.key}")
        allowed = sorted({*step.previous, *record.values[case.heir.name]})
        yield Assumption(
            predicate=listed("within", fact, allowed), why="other values would need other calls", step=step.id
        )


# Warnings.


def _red(code: str, why: str, do: str) -> Warn:
    return Warn(level="red", code=code, why=why, do=do)


def _amber(code: str, why: str, do: str) -> Warn:
    return Warn(level="amber", code=code, why=why, do=do)


def _warnings(case: _Case, steps: list[Step]) -> Iterable[Warn]:
    yield from _alive(case)
    yield from _services(case, steps)
    yield from _strange_states(case)
    yield from _cms_views(case)
    yield from _backup(case)
    yield from _edge_doubts(case)
    yield from _dns_doubts(case)
    if not any(u.pool == case.lost.name for u in case.estate.test_user):
        yield _amber(
            "no-test-user",
            f"No test user is homed on {case.lost.name}: sign-in cannot be proven automatically.",
            "A person signs in and confirms; the report says so.",
        )


def _alive(case: _Case) -> Iterable[Warn]:
    lost = case.lost
    if places := _answering_from(case):
        seen = " and ".join("this worker" if p == HERE else p for p in places)
        yield _red(
            "pool-answers",
            f"{lost.name} ANSWERS from {lost.site}, seen by {seen}. This looks like a cut line, not a lost site.",
            "If the site lives, mend the line, or move users by hand from the printed runbook: disaster mode loses "
            "what changed since the last backup.",
        )
    elif case.facts.value(f"answers.{lost.name}.{HERE}") is None:
        why = case.facts.why(f"answers.{lost.name}.{HERE}")
        yield _amber(
            "pool-unseen",
            f"It is not known whether {lost.name} still answers: {_calm(why)}.",
            f"Make sure by another way that {lost.site} is lost.",
        )


def _services(case: _Case, steps: list[Step]) -> Iterable[Warn]:
    heir, facts = case.heir, case.facts
    here = f"services.{heir.name}"
    needed = list(facts.names(here) or ())
    if any(s.id == "cms" and s.host == case.host for s in steps):
        needed += facts.names(f"services_cms.{heir.name}") or ()
    if stopped := [n for n in needed if "not listed" not in n]:
        yield _red(
            "service-stopped",
            f"{heir.name} answers, but {_and(stopped)} {'is' if len(stopped) == 1 else 'are'} not running there.",
            f"Start {'it' if len(stopped) == 1 else 'them'} on {heir.name} first: the plan needs "
            f"{'it' if len(stopped) == 1 else 'them'}.",
        )
    if absent := [n.removesuffix(" (not listed)") for n in needed if "not listed" in n]:
        yield _amber(
            "service-absent",
            f"{heir.name} does not list {_and(absent)} among its services.",
            "Check the needs of this pool in the estate file against the server.",
        )
    if facts.value(here) is None:
        yield _unknown_fact("services-unknown", f"whether {heir.name}'s services run", facts.why(here))


def _strange_states(case: _Case) -> Iterable[Warn]:
    lost, heir, facts = case.lost, case.heir, case.facts
    state = facts.text(f"pool_state.{lost.name}")
    if state == "FailingOver" or (state is not None and state not in (*RUNNING_PLAINLY, "FailedOver")):
        yield _red(
            "half-done",
            f"{lost.name} is {state}: a failover or failback was begun and has not ended.",
            "Make sure that nobody is running it by hand now. Running the same cmdlet again is the documented remedy.",
        )
    state = facts.text(f"pool_state.{heir.name}")
    if state is not None and state not in RUNNING_PLAINLY:
        yield _red(
            "partner-state",
            f"{heir.name} is {state}, a state that is not documented.",
            f"Look at {heir.name} before you approve: it may be in the middle of a move itself.",
        )
    for pool in (lost, heir):
        fact = f"pool_state.{pool.name}"
        if facts.value(fact) is None:
            yield _unknown_fact(f"state-unknown-{pool.name}", f"what the PoolState of {pool.name} is", facts.why(fact))
    if facts.value(f"backup_pool.{lost.name}") is None:
        why = facts.why(f"backup_pool.{lost.name}")
        yield _unknown_fact("pairing-unknown", f"whether the servers agree that {heir.name} backs {lost.name}", why)


def _cms_views(case: _Case) -> Iterable[Warn]:
    facts = case.facts
    views = {f: facts.text(f) for f in ("cms.scp", "cms.service", "cms.connection")}
    seen = {v for v in views.values() if v not in (None, NONE)}
    master = facts.text("cms.master")
    if len(seen) > 1 or any("+" in v for v in seen if v):
        told = "; ".join(f"{look.title(f)}: {v}" for f, v in views.items() if v)
        yield _amber(
            "cms-views",
            f"The servers disagree about who hosts the Central Management Store ({told}).",
            "A move may be half done: look at it before you approve.",
        )
    elif not seen:
        yield _unknown_fact("cms-unknown", "who hosts the Central Management Store", facts.why("cms.scp"))
    if seen == {case.heir.name} and master not in (None, case.heir.name):
        yield _amber(
            "cms-no-master",
            f"The Central Management Store is on {case.heir.name}, but its active master is {master}.",
            "The CMS step is in the plan again; it is skipped if the master is there by then.",
        )


def _backup(case: _Case) -> Iterable[Warn]:
    lost, heir, facts = case.lost, case.heir, case.facts
    if facts.value(f"backup_good_at.{lost.name}") is None:
        yield _amber(
            "backup-unknown",
            f"When the backup of {lost.name} was last good is not known.",
            "How much is lost cannot be said beforehand.",
        )
    faults = backup_faults(facts.names(f"backup.{lost.name}") or ())
    if faults:
        yield _amber(
            "backup-stale",
            f"The backup of {lost.name} was not steady: {_and(faults)}.",
            "What was not copied yet is lost.",
        )
    imports = [m for m in facts.names(f"backup.{heir.name}") or () if not m.endswith("/NormalState")]
    if imports:
        yield _amber(
            "import-fault",
            f"{heir.name} was not importing normally: {_and(imports)}.",
            "Contacts and meetings may be older than the last good backup.",
        )
    elif facts.value(f"backup.{heir.name}") is None:
        fact = f"backup.{heir.name}"
        yield _unknown_fact("import-unknown", f"whether {heir.name} was importing the backup", facts.why(fact))


def _edge_doubts(case: _Case) -> Iterable[Warn]:
    pools = {p.name for p in case.estate.pool}
    for edge in case.estate.edge:
        hop = case.facts.text(f"edge.{edge.name}")
        if hop is None:
            why = case.facts.why(f"edge.{edge.name}")
            dead = "Central Management Store" in why
            yield _amber(
                f"edge-unknown-{edge.name}",
                f"Next hop of Edge pool {edge.name} not readable"
                f"{' while the CMS is dead' if dead else f' ({_calm(why)})'}.",
                f"Read again {'after the CMS step' if dead else 'in its turn'}; the estate file says {edge.next_hop}.",
            )
        elif hop not in pools:
            yield _amber(
                f"edge-odd-{edge.name}",
                f"Edge pool {edge.name} points at {hop}, which is not in the estate file.",
                "It is left alone.",
            )


def _dns_doubts(case: _Case) -> Iterable[Warn]:
    facts, records, servers = case.facts, _records(case), _reachable(case)
    for server in case.estate.dns_server:
        if server not in servers and any(server in case.estate.servers_of(r) for r in records):
            yield _amber(
                f"dns-unreachable-{server.name}",
                f"{server.name} is in {server.site} and silent; its names are left out.",
                "Change them by hand when it is back.",
            )
    if records and not servers:
        yield _amber(
            "dns-none",
            "No DNS server could be read, so no name is changed.",
            "Calls will work, meeting links will not: change the names by hand.",
        )
    slow: dict[int, list[str]] = {}
    for server in servers:
        for record in (r for r in records if server in case.estate.servers_of(r)):
            held = _values(case, record, server)
            if held is None:
                yield _amber(
                    f"dns-unread-{record.key}-{server.name}",
                    f"{record.fqdn} could not be read on {server.name}; it is left out.",
                    "Change it by hand.",
                )
                continue
            expected = {v for values in record.values.values() for v in values}
            if strangers := sorted(set(held) - expected):
                yield _amber(
                    f"dns-stranger-{record.key}-{server.name}",
                    f"{record.fqdn} on {server.name} holds {_and(strangers)}, which belongs to neither pool.",
                    "It is removed by this plan; its old value is kept in the record.",
                )
            ttl = facts.value(f"dns_ttl.{record.key}.{server.name}")
            # A caching server counts down, so only "long" is said, with the longest the estate file knows.
            if isinstance(ttl, int) and set(held) != set(record.values[case.heir.name]):
                longest = max(ttl, record.ttl_s) if ttl * 3 >= case.pair.rto_s else 0
                slow.setdefault(longest, []).append(record.name)
    slow.pop(0, None)
    for longest, names in sorted(slow.items()):
        of = "" if {*names} == {r.name for r in records} else f" for {_and(dict.fromkeys(names))}"
        yield _amber(
            f"ttl-{longest}",
            f"DNS TTL {longest} s{of}.",
            f"Meeting links may follow up to {-(-longest // 60)} min after calls.",
        )


def _unknown_fact(code: str, what: str, why: str) -> Warn:
    return _amber(code, f"It is not known {what}: {_calm(why)}.", "Looked at again before the step that needs it.")


def _calm(why: str) -> str:
    """Why a fact is unknown, for people who decide: without the server's own red text, which the record keeps."""
    return re.sub(r"(answered in red):.*", r"\1", why, flags=re.DOTALL)


def _and(texts: Iterable[str]) -> str:
    texts = list(texts)
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
