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
from incident.events import event_classes
from incident.first_screen import Beside
from incident.register import Register, gaps
from incident.report import Report, html, markdown, stakeholder_text
from incident.sentences import _SAY
from incident.verify_approval import breaches

from .house import House
from .play import POLICY, who

EVIL = "</pre></script><script>alert(1)</script><img src=x onerror=alert(1)> & \u202e ```"
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
        "Went wrong 1 × red text",
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


def _alone(key: str, house: House, kind: str = "", change: dict[str, Any] | None = None) -> list[str]:
    """What the verifier that shares no code says of the record, with every record of that kind altered."""
    story, said = standalone_verify.Story(), []
    for record in house.bot.records(key):
        r = json.loads(record.line)["r"]
        if r["body"]["kind"] == kind:
            r["body"].update(change or {})
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
        ("card_posted", {"kind": "locked_out", "person": "bo"}, "0 persons beside the asker"),
        ("card_posted", {"kind": "locked_out", "person": "chen"}, "people who had not said so"),
        ("voted", {"window_ends": "2026-11-22T03:00:00Z"}, "after its time was over"),
        ("asked", {"quorum": 3}, "1 persons beside the asker had approved this plan, and 2 are due"),
        ("hand_taken", {"kind": "stop_ordered"}, "while a stop was standing"),
        ("ruling", {"persons": ["dana"]}, "people who had not said so"),
        ("ruling", {"verdict": "skip"}, "a second time"),
        ("step_failed", {"begun": "half_done"}, "two are due"),
    ],
)
def test_the_verifier_that_shares_no_code_sees_the_same(kind: str, change: dict[str, Any], says: str) -> None:
    house = House()
    key = house.recovered()
    assert _alone(key, house) == []
    assert any(says in text for text in _alone(key, house, kind, change))


def test_the_verifier_that_shares_no_code_knows_who_was_locked_out_when_a_stop_was_lifted() -> None:
    story = standalone_verify.Story()
    lock = {"actor": None, "body": {"kind": "locked_out", "person": "bo"}}
    for person, said in (("chen", []), ("bo", ["a stop was lifted by somebody who was locked out"])):
        went_on = {"actor": {"person": person}, "body": {"kind": "went_on"}}
        assert [*story.read(lock), *story.read(went_on)] == said
