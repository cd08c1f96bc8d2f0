"""Whatever people and hands try, in whatever order: the sentences that must stay true, judged from the records alone.

The oracle imports no rule: it reads the events one after another and keeps its own small books.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from incident import commands as c
from incident.clocks import figures
from incident.commands import Refusal
from incident.decide import decide
from incident.fold import fold
from incident.verify_approval import breaches
from tests.incident.rules.play import CARD, DECLARE, DIGEST, DIGESTS, POLICY, RULES, Play, planned, surveyed, who

DIGEST_2 = "8a" * 32
HUMANS = {"URITA": "rita", "URITA2": "rita", "UBO": "bo", "UCHEN": "chen", "UDANA": "dana"}
MAY_APPROVE = {"rita", "bo", "chen", "dana"}
users = st.sampled_from([*HUMANS, "UWIM", "UOLAF"])
accounts = st.sampled_from([{}, {}, {}, {}, {"guest": True}, {"deleted": True}])
STEPS = ("cms", "pool", "dns.meet.dns2", "proof.signin")


def judged(records) -> None:
    """The oracle: approvals before every change, one outcome for each attempt, at its turn."""
    asks: dict[int, object] = {}
    votes: dict[int, set[str]] = {}
    ended: set[int] = set()
    begun = 0
    stands = False
    last_plan = ""
    attempts: Counter = Counter()
    open_intent = None
    sent = False
    window = None
    for record in records:
        e = record.event
        match e.kind:
            case "planned":
                last_plan = e.digest
            case "asked":
                asks[e.request] = e
                votes[e.request] = set()
            case "voted":
                ask = asks[e.request]
                human = HUMANS[e.actor.user]
                assert human in MAY_APPROVE - {"rita"}, "the asker's own vote"
                assert not e.actor.account.guest
                assert not e.actor.account.deleted
                assert e.request not in ended
                assert e.digest == ask.digest
                assert ask.expires > record.when
                votes[e.request].add(human)
                window = e.window_ends
            case "voided" | "lapsed" | "declined" | "revoked":
                assert not sent or e.request != begun
                ended.add(e.request)
                begun = 0 if begun == e.request else begun
            case "run_started":
                begun = e.request
                assert e.digest == asks[e.request].digest == last_plan
            case "intent":
                assert begun in asks.keys() - ended, "sent without a question that stands"
                assert votes[begun], "sent without two persons"
                assert open_intent is None
                assert not stands or e.effect == "observe"
                if e.effect != "observe" and not sent:
                    assert record.when < window
                    sent = True
                open_intent = (e.step, e.attempt, e.call_no)
                assert attempts[open_intent] == 0
            case "outcome":
                assert open_intent == (e.step, e.attempt, e.call_no), "an outcome without its intent"
                attempts[open_intent] += 1
                open_intent = None
            case "stop_ordered":
                stands = True
            case "went_on":
                stands = False
    assert all(n == 1 for n in attempts.values()), "two outcomes for one attempt"


class Night(RuleBasedStateMachine):
    """One incident, and everybody pressing everything."""

    def __init__(self) -> None:
        super().__init__()
        self.play = Play().declared()
        self.nonces = 0

    @initialize(chapter=st.sampled_from(["declared", "asked", "approved", "started", "started", "started"]))
    def begins_at(self, chapter: str) -> None:
        """Most nights begin late, or the run would hardly ever be reached."""
        self.play = getattr(Play(), chapter)()
        if chapter == "started":
            self.play.done(self.play.begin("cms"))

    @rule(seconds=st.sampled_from([1, 1, 1, 1, 30, 299, 601]))
    def time_passes(self, seconds: int) -> None:
        self.play.after(seconds)
        self.play.do(c.Tick())

    @rule(
        digest=st.sampled_from([DIGEST, DIGEST, DIGEST, DIGEST, DIGEST, DIGEST_2]),
        level=st.sampled_from(["green", "green", "red"]),
    )
    def look(self, digest: str, level: str) -> None:
        self.play.do(c.RecordSurvey((surveyed(self.play.now), planned(digest, level))))

    @rule(user=st.none() | users)
    def ask(self, user: str | None) -> None:
        self.nonces += 1
        self.play.do(c.AskApproval(who(user) if user else None, f"nonce-{self.nonces}", again=user is not None))
        request = self.play.s.request
        if request is not None:
            self.play.do(c.RecordCard(request.number, CARD))

    @precondition(lambda self: self.play.s.request is not None)
    @rule(user=users, extra=accounts, old=st.booleans(), typed=st.sampled_from([None, "fe1", "fe2"]))
    def click(self, user, extra, old, typed) -> None:
        requests = self.play.s.requests
        request = requests[0] if old else requests[-1]
        seen = who(user, **{"looked_at": self.play.now, **extra})
        click = c.Approve(seen, request.number, request.nonce, request.digest[:16], CARD, typed=typed)
        self.play.do(click)

    @precondition(lambda self: self.play.s.request is not None)
    @rule(
        user=users, what=st.sampled_from(["still", "still", "still", "recheck", "recheck", "decline"]), extra=accounts
    )
    def other_click(self, user, what, extra) -> None:
        request = self.play.s.request
        if what == "recheck":
            self.play.do(c.Recheck(request.number, {"bo": who("UBO", **extra).account}))
        else:
            kind = c.Decline if what == "decline" else c.SayStillDisaster
            self.play.do(kind(who(user), request.number, request.nonce, CARD))

    @rule(
        user=users,
        what=st.sampled_from(["stop", "go_on", "go_on", "confirm", "close", "cancel"]),
        sure=st.integers(0, 20),
    )
    def person(self, user, what, sure) -> None:
        if what in ("cancel", "close") and sure:
            return
        kind = {"stop": c.Stop, "go_on": c.GoOn, "confirm": c.Confirm, "close": c.Close, "cancel": c.Cancel}[what]
        self.play.do(kind(who(user)))

    @rule(epoch=st.sampled_from([0, 0, 0, -1]))
    def hand(self, epoch: int) -> None:
        state = self.play.s
        if state.request is not None and state.request.state == "approved":
            self.play.do(c.TakeHand("w2", "a"))
            self.play.do(c.StartRun(self.play.s.epoch + epoch, state.request.digest, DIGESTS))

    @precondition(lambda self: self.play.s.run_request is not None)
    @rule(
        key=st.sampled_from(STEPS),
        what=st.sampled_from(["begin", "begin", "end", "end", "verify", "fail", "skip", "prove", "complete"]),
        result=st.sampled_from(["done", "done", "red", "refused", "unknown", "adopted", "not_begun"]),
        begun=st.sampled_from(["not_begun", "half_done", "done", "cannot_tell"]),
        stale=st.integers(0, 9),
    )
    def work(self, key, what, result, begun, stale) -> None:
        state = self.play.s
        key = next((s.id for s in state.steps if not s.settled), key) if stale else key
        epoch = state.epoch - (0 if stale else 1)
        step = state.step(key)
        attempt = step.attempts[-1].number if step.attempts else 1
        command = {
            "begin": lambda: self.play.begin(key, epoch),
            "end": lambda: self.play.end(key, result, epoch, attempt),
            "verify": lambda: c.VerifyStep(epoch, key, "so", 1),
            "fail": lambda: c.FailStep(epoch, key, "not so", "state", begun),
            "skip": lambda: c.SkipStep(epoch, key, "already"),
            "prove": lambda: c.Prove(epoch, "signed in"),
            "complete": lambda: c.EndRun(epoch, "complete"),
        }[what]()
        self.play.do(command)

    @precondition(lambda self: self.play.s.run_request is not None)
    @rule()
    def work_well(self) -> None:
        """The next honest thing."""
        state = self.play.s
        step = next((s for s in state.steps if not s.settled), None)
        if step is None:
            self.play.do(c.EndRun(state.epoch, "complete"))
        elif state.open_attempt is not None:
            self.play.do(self.play.end(step.id, "done", state.epoch, step.attempts[-1].number))
        elif step.status == "verifying":
            self.play.do(c.VerifyStep(state.epoch, step.id, "so", 1))
        else:
            self.play.do(self.play.begin(step.id, state.epoch))

    @precondition(lambda self: self.play.s.waiting_step is not None)
    @rule(user=users, verdict=st.sampled_from(["retry", "retry", "done", "skip", "abort"]))
    def ruling(self, user, verdict) -> None:
        step = self.play.s.waiting_step
        self.play.do(self.play.rule(user, verdict, step.id, step.failure.attempt))

    @invariant()
    def what_must_stay_true(self) -> None:
        state = self.play.s
        figure = figures(state, self.play.now)
        assert sum(part.seconds for part in figure.parts) == figure.rto_s
        assert state.phase

    def teardown(self) -> None:
        records = self.play.records
        judged(records)
        assert breaches(records, POLICY) == ()
        for cut in range(1, len(records) + 1, 3):
            assert fold(records[:cut]) is not None
        assert fold(records) == self.play.state


Night.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestAnyOrder = Night.TestCase


def test_the_oracle_sees_a_planted_fault() -> None:
    """It is worth something only if it turns red: a self-vote, and a call under a lapsed question."""
    play = Play().started()
    play.done(play.begin("cms"))
    judged(play.records)
    for kind, change in (
        ("voted", {"actor": who("URITA2")}),
        ("voted", {"digest": DIGEST_2}),
        ("run_started", {"digest": DIGEST_2}),
        ("voted", {"window_ends": play.records[0].when}),
    ):
        faked = [
            replace(r, event=r.event.model_copy(update=change)) if r.event.kind == kind else r for r in play.records
        ]
        try:
            judged(faked)
        except AssertionError:
            continue
        raise AssertionError(f"the oracle did not see {kind} {sorted(change)}")


def test_the_same_question_has_the_same_answer() -> None:
    one, other = decide(None, DECLARE, RULES, Play().now), decide(None, DECLARE, RULES, Play().now)
    assert not isinstance(one, Refusal)
    assert one == other
