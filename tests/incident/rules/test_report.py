"""The report, `audit list` and `audit show`: what they say is in the record, and nothing of it becomes markup."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from incident import audit, standalone_verify
from incident import commands as c
from incident.events import event_classes
from incident.first_screen import Beside
from incident.register import Register, gaps
from incident.report import Report, html, markdown, stakeholder_text
from incident.rulings import quorum
from incident.sentences import _SAY
from incident.state import Failure, StepState
from incident.verify_approval import breaches

from .house import House
from .play import DIGEST, DIGESTS, PLAN, POLICY, Play, who

EVIL = "</pre></script><script>alert(1)</script><img src=x onerror=alert(1)> & \u202e ```"
SEEN = {"looked_at": "2026-11-22T03:08:40Z"}
MADE = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data) -> None:
        self.text.append(data)


def report_of(house: House, key: str, jsonl: bytes = b"") -> Report:
    records = house.bot.records(key)
    beside = audit.beside(house.bot.journal, key, verified="whole: 41 entries, 2 signers", verified_ok=True)
    return Report(records, jsonl or b"".join(r.line for r in records), MADE, "0.1.0", POLICY, beside)


def test_the_first_screen_answers_what_an_auditor_asks():
    house = House()
    report = report_of(house, house.recovered())
    page = html(report)
    first = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page[page.index("<section") : page.index("</section>")]))
    for sentence in (
        "REAL declare-disaster · fe1 London → fe2 Leeds · 22 Nov 2026 · no. 1",
        "RECOVERED, 8:20 of 15:00",
        "checks 0:20 · approval 1:09",
        "waited for people 0:45",
        "Two different people YES asked Rita Berg 03:07:12 (Slack) · approved Bo Lund 03:08:41 (Slack)",
        "Approved before change YES first change 03:08:42, 1 s after",
        "Ran what was approved YES 3 of 3 planned calls sent; 1 run again; 0 altered",
        "Changed CMS, pool, 1 DNS change",
        "Went wrong 1 × red text (pool); 1 decided by people",
        "1 told, 1 answered; refused: 1 self-approval, 1 outsider",
        "about 5 min",
        "WHOLE whole: 41 entries, 2 signers; register without gap",
        "a person’s “no red banner”: not given",
        "reviewed by: nobody yet · follow-ups 1 open",
        "lync-dr audit verify no-1.jsonl",
    ):
        assert sentence in first, (sentence, first)


def test_nothing_in_the_record_becomes_markup_and_the_record_is_inside_byte_for_byte():
    house = House()
    key = house.recovered(reason=EVIL, red=EVIL)
    report = report_of(house, key)
    page = html(report)
    tags = Tags()
    tags.feed(page)
    assert not {"script", "img", "iframe", "object"} & set(tags.tags)
    assert "alert(1)" in "".join(tags.text), "it is shown as text"
    assert "http" not in re.sub(r'http-equiv="Content-Security-Policy"', "", page), "nothing is loaded from elsewhere"
    inside = re.search(r"data:application/x-ndjson;base64,([A-Za-z0-9+/=]*)", page)
    assert inside is not None
    assert base64.b64decode(inside[1]) == report.jsonl
    assert "\n<" not in markdown(report)


def test_the_record_alone_tells_whether_the_rule_was_kept():
    house = House()
    records = house.bot.records(house.recovered())
    assert breaches(records) == ()
    assert breaches(records, POLICY) == ()
    no_bo = POLICY.model_copy(update={"persons": tuple(p for p in POLICY.persons if p.id != "bo")})
    seq, text = breaches(records, no_bo)[0]
    assert records[seq - 1].kind == "run_started"
    assert "nobody in this policy" in text


def test_audit_list_and_show_in_text_and_json_and_the_words_for_others():
    house = House()
    key = house.recovered()
    table = audit.list_text(house.bot.journal)
    assert "20261122-fe1-a" in table
    assert "RECOVERED, 8:20 of 15:00" in table
    (row,) = audit.list_data(house.bot.journal)
    assert (row["number"], row["result"], row["rto_s"]) == (1, "recovered", 500)
    records = house.bot.records(key)
    text = audit.show_text(records, POLICY, Beside(number=1))
    assert "APR020E" in text
    assert "You asked for this, so another person must approve" in text
    data = audit.show_data(records, POLICY, Beside(number=1))
    assert sum(data["parts"].values()) == data["rto_s"] == 500
    words = stakeholder_text(house.bot.state(key), "UTC")
    assert words.startswith("Telephony for London users was restored at 03:15 UTC from Leeds after 8 minutes.")


def test_the_register_keeps_texts_reviews_and_who_could_do_what_on_a_day():
    house = House()
    key = house.recovered()
    register = Register(house.bot.journal)
    register.state_policy(POLICY)
    register.state_policy(POLICY)
    register.reviewed(who("UDANA"), key, "seen")
    assert [r.kind for r in register.records()].count("text_stated") == 1
    assert gaps(register.numbers()) == ()
    people = register.people_on(date(2026, 11, 22))
    assert [p.id for p in people][:2] == ["bo", "chen"]
    assert "TPRACTICE/UBO" in audit.people_text(house.bot.journal, date(2026, 11, 22))
    assert register.reviews(key)[0][1:] == ("Dana", "seen")


def test_every_kind_of_event_has_its_sentence():
    assert set(_SAY) == set(event_classes().values())


def _alone(key: str, house: House, *changes: tuple[str, dict[str, Any]]) -> list[str]:
    """What the verifier that shares no code says of the record, with every record of these kinds altered."""
    story, said = standalone_verify.Story(), []
    for record in house.bot.records(key):
        r = json.loads(record.line)["r"]
        was = r["body"]["kind"]
        for kind, change in changes:
            if was == kind:
                r["body"].update({name: value for name, value in change.items() if name not in ("actor", "at")})
                r["actor"] = r["actor"] and r["actor"] | change.get("actor", {})
                r["at"] = change.get("at", r["at"])
        said += story.read(r)
    return said


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("intent", {"effect": "observe"}, "not the one of the approved plan"),
        ("intent", {"host": "somewhere.else"}, "not the one of the approved plan"),
        ("intent", {"literal": "Get-CsUser"}, "not the one of the approved plan"),
        ("run_started", {"digest": "8a" * 32}, "another plan than was asked about"),
        ("voted", {"nonce": "another"}, "0 persons beside the asker"),
        ("voted", {"nonce": "another"}, "another question or another plan"),
        ("voted", {"digest": "8a" * 32}, "another question or another plan"),
        ("voted", {"at": "2026-11-22T03:17:35.000Z"}, "when the question was over"),
        ("voted", {"actor": {"person": "rita"}}, "the asker approved their own request"),
        ("voted", {"actor": {"person": None}}, "no person"),
        ("voted", {"actor": {"account": None}}, "was not looked at"),
        ("voted", {"actor": {"account": {"looked_at": None}}}, "within 60 s"),
        ("voted", {"actor": {"account": {"looked_at": "2026-11-22T03:07:38Z"}}}, "within 60 s"),
        ("voted", {"actor": {"via": "cli"}}, "did not prove who they are"),
        ("voted", {"card": None}, "from no card of this question"),
        ("voted", {"card": {"team": "TPRACTICE", "channel": "C0OTHER", "ts": "9.9"}}, "from no card of this question"),
        ("voted", {"window_ends": None}, "was not approved"),
        *(
            ("voted", {"actor": {"account": {**SEEN, flag: True}}}, f"account of bo {words}")
            for flag, words in standalone_verify.FLAGS.items()
        ),
        ("voted", {"actor": {"account": {**SEEN, "mail_confirmed": False}}}, "no confirmed mail"),
        (
            "declared",
            {"actor": {"account": {**SEEN, "deleted": True}}},
            "may not ask: the account of rita was",
        ),
        ("declared", {"actor": {"account": None}}, "who asked may not ask"),
        ("declared", {"actor": {"person": None}}, "who asked may not ask"),
        ("asked", {"asker": "dana"}, "another asker than the declaration"),
        ("asked", {"asker_counts": False}, "1 persons beside the asker had approved this plan, and 2 are due"),
        ("asked", {"level": "red"}, "the asker had not insisted"),
        ("asked", {"level": "red"}, "under red before the asker insisted"),
        ("asked", {"level": "red"}, "under red without the pool's name"),
        ("run_started", {"at": "2026-11-22T03:13:44.000Z"}, "after its time was over"),
        ("intent", {"at": "2026-11-22T03:13:44.000Z"}, "first, after the time to begin was over"),
        ("ruling_voted", {"actor": {"account": {**SEEN, "guest": True}}}, "people who had not said so"),
        ("card_posted", {"kind": "locked_out", "person": "bo"}, "0 persons beside the asker"),
        ("card_posted", {"kind": "locked_out", "person": "chen"}, "people who had not said so"),
        ("voted", {"window_ends": "2026-11-22T03:00:00Z"}, "after its time was over"),
        ("asked", {"quorum": 3}, "1 persons beside the asker had approved this plan, and 2 are due"),
        ("hand_taken", {"kind": "stop_ordered"}, "while a stop was standing"),
        ("ruling", {"persons": ["dana"]}, "people who had not said so"),
        ("ruling", {"verdict": "skip"}, "a second time"),
        ("step_failed", {"begun": "half_done"}, "runs again, and 2 are due"),
        ("outcome", {"result": "not_begun"}, "runs again, and 2 are due"),
    ],
)
def test_the_verifier_that_shares_no_code_sees_the_same(kind: str, change: dict[str, Any], says: str) -> None:
    house = House()
    key = house.recovered()
    assert _alone(key, house) == []
    assert any(says in text for text in _alone(key, house, (kind, change)))


RULED: list[tuple[str, str, dict[str, Any], str]] = [
    # verdict, what the look says, how the call ended, what is said of one person alone
    ("done", "not_begun", {}, "counts as done, and 2 are due"),
    ("done", "done", {}, ""),
    ("skip", "not_begun", {}, "is left out, and 2 are due"),
    ("abort", "half_done", {}, "ends the run, and 2 are due"),
    ("abort", "cannot_tell", {}, "ends the run, and 2 are due"),
    ("abort", "not_begun", {"result": "unknown"}, "ends the run, and 2 are due"),
    ("abort", "not_begun", {}, ""),
    ("retry", "not_begun", {}, ""),
    ("retry", "done", {}, "runs again, and 2 are due"),
]


@pytest.mark.parametrize(("verdict", "begun", "ended", "says"), RULED)
def test_the_verifier_that_shares_no_code_counts_the_persons_of_every_verdict(verdict, begun, ended, says) -> None:
    house = House()
    changes = [(kind, {"verdict": verdict}) for kind in ("ruling_voted", "ruling")]
    found = _alone(house.recovered(), house, *changes, ("step_failed", {"begun": begun}), ("outcome", ended))
    alone = [text for text in found if "alone ruled" in text]
    assert alone == ([f"1 person alone ruled that step pool {says}"] if says else [])
    for attempt in (1, 2):
        moved = [(kind, {"attempt": attempt}) for kind in ("ruling_voted", "ruling")]
        found = _alone("20261122-fe1-a", house, *moved)
        assert found == ([] if attempt == 1 else ["the ruling about step pool is not about its present failure"])


def test_the_verifier_that_shares_no_code_finds_nothing_in_honest_records_of_other_ways() -> None:
    terminal = Play().asked().after(60)
    proved = who("bo", via="cli", step=77)
    terminal.done(terminal.approve(actor=proved, card=None, code=c.Code(77)))
    for play in (Play().started(), Play().approved("red"), terminal):
        if not play.s.run_request:
            play.after(1).done(c.TakeHand("w2", "a"))
            play.done(c.StartRun(1, DIGEST, DIGESTS))
        play.carry_out("cms").failed("pool", "unknown", "cannot_tell")
        for user in ("UBO", "UCHEN"):
            play.done(play.rule(user, "retry", "pool"))
        play.done(c.Stop(who("UWIM")))
        play.done(c.GoOn(who("UBO")))
        play.done(play.begin("pool"))
        story = standalone_verify.Story()
        for record in play.records:
            event = record.event.model_dump(mode="json")
            at = record.when.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            assert story.read({"seq": record.seq, "at": at, "actor": event.pop("actor"), "body": event}) == []


def test_both_verifiers_need_as_many_persons_for_every_verdict() -> None:
    for plan in ({"effect": e, "rerun": r} for e in ("once", "converge") for r in ("undocumented", "documented")):
        for begun in ("not_begun", "half_done", "done", "cannot_tell"):
            for unknown in (False, True):
                failure = Failure(1, "", "", begun, (), MADE, 1, unknown=unknown)
                step = StepState("pool", "", "", 0, plan, "failed", failure=failure)
                failed = {"begun": begun, "unknown": unknown}
                for verdict in ("retry", "done", "skip", "abort"):
                    assert standalone_verify.persons_due(plan, failed, verdict) == quorum(step, verdict)


def test_the_verifier_that_shares_no_code_compares_the_card_with_the_plan_under_it() -> None:
    """Colour and warnings stand beside the plan; only the plan is under the digest that people approved."""
    red = {"level": "red", "text": "fe1 answers", "todo": "Look first"}
    shown = {"level": "red", "why": "fe1 answers", "do": "Look first"}
    planned = {"plan": {"warnings": [red]}, "level": "red", "warnings": [shown]}
    assert not standalone_verify.shown_otherwise(planned, "red")
    assert standalone_verify.shown_otherwise(planned, "green")
    assert standalone_verify.shown_otherwise({**planned, "level": "green"}, "red")
    assert standalone_verify.shown_otherwise({**planned, "warnings": []}, "red")
    house = House()
    hidden = {"plan": {**PLAN, "warnings": [red]}}
    assert any("not those of the plan" in text for text in _alone(house.recovered(), house, ("planned", hidden)))


def test_the_verifier_that_shares_no_code_lets_no_code_count_twice() -> None:
    story = standalone_verify.Story()
    card = {"team": "TPRACTICE", "channel": "C0INC", "ts": "1.1"}
    asked = {"kind": "asked", "request": 1, "digest": "7f", "nonce": "n", "expires": "2026-11-22T03:17:00Z",
             "level": "green"}  # fmt: skip
    story.read({"actor": None, "at": "2026-11-22T03:07:00.000Z", "seq": 1, "body": asked})
    story.read({"actor": None, "at": "", "seq": 2, "body": {"kind": "card_posted", "request": 1, "card": card}})
    for seq in (3, 4):
        actor = {"person": "bo", "via": "cli", "account": {"looked_at": "2026-11-22T01:00:00Z"}, "code_step": 77}
        vote = {"kind": "voted", "request": 1, "digest": "7f", "nonce": "n", "card": None, "typed": None}
        story.read({"actor": actor, "at": "2026-11-22T03:08:00.000Z", "seq": seq, "body": vote})
    assert len(story.votes[1]) == 1
    assert story.bad[1] == ["record 4 is an approval with a one-time code that was used before"]
    actor["account"], actor["code_step"] = {"looked_at": "2026-11-21T01:00:00Z"}, 78
    story.read({"actor": actor, "at": "2026-11-22T03:08:00.000Z", "seq": 5, "body": vote})
    assert "within 24 hours" in story.bad[1][-1]


def test_the_verifier_that_shares_no_code_lets_nobody_lift_a_stop_whose_account_may_not_act() -> None:
    story = standalone_verify.Story()
    actor = {"person": "bo", "via": "slack", "account": {"deleted": True}}
    said = story.read({"actor": actor, "body": {"kind": "went_on"}})
    assert said == ["a stop was lifted, and the account of bo was deactivated"]


def test_the_verifier_that_shares_no_code_knows_who_was_locked_out_when_a_stop_was_lifted() -> None:
    story = standalone_verify.Story()
    lock = {"actor": None, "body": {"kind": "locked_out", "person": "bo"}}
    for person, said in (("chen", []), ("bo", ["a stop was lifted by somebody who was locked out"])):
        went_on = {"actor": {"person": person}, "body": {"kind": "went_on"}}
        assert [*story.read(lock), *story.read(went_on)] == said
