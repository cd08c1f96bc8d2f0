"""A journal that only one worker's copy proves wrong: people learn it from the bot, no hand goes on, and nothing is
written into that journal. Real workers, a real store, practised sites, a real bot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.serve import Bot, SlackSettings
from bot.serve import House as BotHouse
from bot.watch import Waits
from cli.someone import Someone
from incident.journals.redis_notes import RedisNotes
from incident.one_time import Seeds
from incident.policy import Rules
from incident.register import Register
from tests.bot.stage import From, Slack
from tests.waiting import wait_for
from tests.workers.house import House, house


@contextmanager
def narrated(home: House, slack: SlackSettings, store: str) -> Iterator[None]:
    """The product's bot over the same store, on the practice workspace."""
    home.bot._rules = Rules(policy=home.config.policy, practice=True)
    made = BotHouse(
        desk=home.bot, doorbell=home.bell, notes=RedisNotes(store), estate=home.config.estate,
        seeds=Seeds(home.out / "seeds"), slack=slack, waits=Waits(0.3, 1.0, 0.5), practice=True, host="bot-leeds",
    )  # fmt: skip
    bot = Bot(made)
    bot.start()
    try:
        yield
    finally:
        bot.stop()


def approve(rita: Someone, bo: Someone) -> None:
    card = bo.find("APPROVE?", dm=True, button="Approve", limit_s=60)
    bo.press(card, next(label for label in card.labels if "Approve" in label))
    rita.find("APPROVED · Bo Lund", channel="C0INC")


def test_records_that_only_a_workers_copy_has_otherwise_halt_every_hand(tmp_path: Path, store: str) -> None:
    slack = Slack(tmp_path / "slack", "--rates", "off")
    try:
        with house(tmp_path, store) as home:
            home.start("look", "act1")
            home.pull_the_plug()
            with narrated(home, slack.settings, store):
                rita, bo = (From(slack.ready["page_url"], f"U{k.upper()}", n) for k, n in
                            (("rita", "Rita Berg"), ("bo", "Bo Lund")))  # fmt: skip
                rita.type("C0INC", "/lync declare-disaster fe1")
                bo.find("APPROVE?", dm=True, button="Approve", limit_s=60)
                (listed,) = home.bot.journal.incidents()
                home.incident = listed.incident
                copy = home.out / "state" / "copies" / "act1" / f"{home.incident}.jsonl"
                home.ring()
                wait_for(copy.exists, "the hand to have seen the record", 20)
                # What follows in the store is not what this host has acknowledged; no other host saw that.
                with copy.open("ab") as file:
                    file.write(copy.read_bytes().splitlines(keepends=True)[-1])
                approve(rita, bo)
                halt = rita.find("HALT", home.incident, "act1", channel="C0INC")
                said = " ".join(halt.text.split())
                assert "in the store is not the one this host saw and copied" in said
                assert "No worker sends anything more" in said
                rita.find("HALT", home.incident, "act1", channel="C0HOME")
                (seen,) = Register(home.bot.journal).halts(home.incident)
                assert (seen.by, seen.what, seen.for_all) == ("act1", "differs", True)
                # Another hand, whose own copy is as it should be, does not go on either, and writes nothing there.
                before = home.state.seq
                home.kill("act1")
                home.start("act2")
                other = home.out / "state" / "copies" / "act2" / f"{home.incident}.jsonl"
                wait_for(lambda: home.ring() or other.exists(), "the other hand to have looked", 20)
                log = home.out / "act2.log"
                wait_for(lambda: home.ring() or "HALT" in log.read_text(), "the other hand to stand still", 20)
                assert home.calls() == []
                assert {r.by for r in home.bot.records(home.incident, before)} <= {"bot"}
                assert not any(r.by.startswith("act") for r in home.bot.records(home.incident))
                # Whoever looked finds that only this copy was spoiled, and puts it away: then the run goes on.
                home.processes["act2"].terminate()
                home.processes["act2"].wait(10)
                copy.rename(copy.with_suffix(".kept"))
                home.start("act1")
                rita.find("RECOVERED", channel="C0INC", limit_s=90)
                assert Register(home.bot.journal).halts() == ()
    finally:
        slack.stop()
