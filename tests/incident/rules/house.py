"""One store, two bots and a worker with their keys, and a clock that is told: for tests that need real records."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from incident import commands as c
from incident.desk import Answer, Desk
from incident.events import ReplicaSeen
from incident.journals.memory import MemoryStore
from incident.journals.signed import SignedJournal
from incident.keys import Keys, Writer
from incident.plans import literal_of
from incident.policy import Rules

from .play import CARD, DECLARE, DIGEST, DIGESTS, NONCE, RULES, T1, planned, surveyed, who


class House:
    """One store, a bot's desk (two where asked) and a worker's, and one clock."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.now = T1
        store = MemoryStore()
        writers = [
            Writer(name, kind, Ed25519PrivateKey.generate(), "0a1b2c3d", self.clock, lambda: 1)
            for name, kind in (("bot-a", "bot"), ("bot-b", "bot"), ("act-1", "worker"))
        ]
        self.writer = writers[0]
        self.keys = Keys([w.public for w in writers])
        journals = [SignedJournal(store, keys=self.keys, writer=w, copies=None) for w in writers]
        self.bot, self.other_bot, self.worker = (Desk(j, rules, self.clock) for j in journals)

    def clock(self) -> datetime:
        return self.now

    def after(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def asked(self) -> str:
        key = self.bot.declare(DECLARE).incident
        self.after(20)
        self.worker.do(key, c.RecordSurvey((surveyed(self.now), planned())))
        assert self.bot.do(key, c.AskApproval(None, NONCE)).ok
        assert self.bot.do(key, c.RecordCard(1, CARD)).ok
        return key

    def well(self, desk: Desk, key: str, *commands: c.Command) -> Answer:
        """Each command, none refused; the last answer."""
        for command in commands:
            answer = desk.do(key, command)
            assert answer.ok, answer.refusal
        return answer

    def recovered(self, reason: str = "dc1 power", red: str = "edge3 still points at fe1") -> str:
        """The whole story with two refusals, red text, a ruling, a note and closure."""
        key = self.bot.declare(replace(DECLARE, reason=reason)).incident
        self.after(20)
        self.well(self.worker, key, c.RecordSurvey((surveyed(self.now), planned(rpo_s=301))))
        self.well(self.bot, key, c.AskApproval(None, NONCE), c.RecordCard(1, CARD))
        for user in ("URITA", "UOLAF"):
            assert not self.bot.do(key, approve(user)).ok
        self.after(69)
        self.well(self.bot, key, approve("UBO"), c.RecordTold("bo", "dm", True, "receipt"))
        self.after(1)
        self.well(self.worker, key, c.TakeHand("w2", "act-1"), c.StartRun(1, DIGEST, DIGESTS))
        for step in self.worker.state(key).steps[:3]:
            self.call(key, step, 1, red=red if step.id == "pool" else "")
            if step.id == "pool":
                self.well(self.worker, key, c.FailStep(1, "pool", "not so", "fe1 Active", "not_begun"))
                self.after(45)
                self.well(self.bot, key, c.Rule(who("UCHEN"), "pool", 1, "retry", "edge repointed"))
                self.call(key, step, 2)
            self.well(self.worker, key, c.VerifyStep(1, step.id, "read back", 1000))
            self.after(1)
        self.after(33)
        seen = (ReplicaSeen(fqdn="fe1.ocsguy.local"), ReplicaSeen(fqdn="fe2.ocsguy.local", up_to_date=True))
        self.well(self.worker, key, c.RecordReplicas(seen, self.now, 900))
        self.well(self.worker, key, c.VerifyStep(1, "proof.signin", "signed in", 1), c.Prove(1, "test user signed in"))
        self.well(self.worker, key, c.EndRun(1, "complete"))
        self.well(self.bot, key, c.AddNote(who("UBO"), "carrier called"), c.Close(None))
        return key

    def call(self, key: str, step, attempt: int, red: str = "") -> None:
        act = step.plan["act"]
        begin = c.BeginCall(1, step.id, 1, step.host, literal_of(act), act, step.plan["effect"])
        output = c.RecordOutput(1, step.id, attempt, (("verbose", "hydrate 4 of 6"), ("error", red or "none")))
        self.well(self.worker, key, begin, output)
        self.after(108 if not red else 5)
        result = "red" if red else "done"
        lines = (red,) if red else ()
        self.well(self.worker, key, c.EndCall(1, step.id, attempt, 1, result, "The server said bye.", red=lines))


def approve(user: str) -> c.Approve:
    return c.Approve(actor=who(user), request=1, nonce=NONCE, digest=DIGEST[:16], card=CARD)
