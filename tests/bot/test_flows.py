"""The other ways through an incident, each as people see it in the practice workspace."""

from __future__ import annotations

import re
from pathlib import Path

import pyotp

from bot.serve import Bot
from cli.someone import Seen, Someone, label_of, walk
from config.load import load_policy
from incident.events import Refused
from tests.bot.stage import POLICY_FILE, Slack, Stage, on_stage
from tests.waiting import wait_for
from tests.workers.test_advance import POOL, red_and_done, red_and_half, red_and_untouched

BOT = "UBOTLYNC"


def press(who: Someone, seen: Seen, label: str) -> dict[str, object]:
    return who.press(seen, label_of(seen, label))


def codes(stage: Stage, incident: str) -> list[str]:
    return [r.code for r in stage.world.bot.records(incident)]


def test_red_text_a_stop_and_one_operator_runs_it_again(stage: Stage) -> None:
    rita, bo, chen = (stage.slack.someone(k) for k in ("rita", "bo", "chen"))
    stage.world.sites.tricks[POOL] = [red_and_untouched]
    rita.type("C0INC", "/lync declare-disaster fe1")
    mine = bo.find("APPROVE?", dm=True, button="Approve")
    press(bo, mine, "Approve")
    failed = chen.find("FAILED", channel="C0INC", button="Run again")
    assert "#D92D20" in failed.message["colours"]
    assert "│ Something went wrong in red." in failed.text
    assert chen.find("RED TEXT", channel="C0INC").ts < failed.ts

    chen.type("C0INC", "/lync stop wait for the carrier")
    stopped = chen.find("STOPPED by Chen Wu", channel="C0INC", button="Go on")
    assert "“wait for the carrier”" in " ".join(stopped.text.split())
    press(bo, stopped, "Go on")
    chen.find("Lifted by Bo Lund", channel="C0INC")
    press(chen, failed, "Run again")
    decided = chen.find("DECIDED · run again · Chen Wu", channel="C0INC")
    assert (decided.ts, decided.labels) == (failed.ts, [])
    rita.find("RECOVERED", channel="C0INC", since=failed.ts)
    # The board is edited in place and ends as it should.
    home = chen.find("fe1 London → fe2 Leeds · RECOVERED", channel="C0HOME", limit_s=12)
    assert "Waiting for" not in home.text
    chen.type("C0INC", "/lync audit 20991231-fe9-a")
    none = " ".join(chen.find("There is no incident 20991231-fe9-a", ephemeral=True).text.split())
    assert re.search(r"The newest: \d{8}-fe1-a\. Type /lync audit and one of these\.", none), none


def test_a_copy_of_a_button_decides_nothing_and_the_true_one_does_so_also_after_a_restart(
    stage: Stage,
) -> None:
    """Somebody with the bot's token posts the red message again, or draws its buttons under other words."""
    rita, bo, chen = (stage.slack.someone(k) for k in ("rita", "bo", "chen"))
    stage.world.sites.tricks[POOL] = [red_and_untouched]
    rita.type("C0INC", "/lync declare-disaster fe1")
    press(bo, bo.find("APPROVE?", dm=True, button="Approve"), "Approve")
    failed = chen.find("FAILED", channel="C0INC", button="Run again")
    incident = stage.world.bot.journal.incidents()[-1].incident

    def copied(seen: Seen, *words: str, button: str) -> Seen:
        stage.slack.admin("post", channel="C0GEN", user=BOT, like={"channel": "C0INC", "ts": seen.ts, "action": ""})
        return chen.find(*words, channel="C0GEN", button=button)

    copy = copied(failed, "FAILED", button="Run again")
    press(chen, copy, "Run again")
    chen.find("This message is not one of the bot's", ephemeral=True)
    press(bo, copy, "Skip")
    bo.submit({"Why?": "it says so"})
    bo.find("This message is not one of the bot's", ephemeral=True)
    chen.type("C0INC", "/lync stop wait")
    stopped = chen.find("STOPPED by Chen Wu", channel="C0INC", button="Go on")
    press(chen, copied(stopped, "STOPPED", button="Go on"), "Go on")
    # A tab or a dialog that was opened past the bot has no message at all.
    nowhere = {"message": {"ts": ""}, "container": {"message_ts": "", "type": "view"}}
    button = {"channel": "C0INC", "ts": stopped.ts, "action": "lync.go_on"}
    stage.slack.admin("forge", press=button, user="UDANA", change=nowhere)
    wait_for(lambda: codes(stage, incident).count("REF042E") == 4, "all four in the record")
    assert not {"RUL001I", "RUL002I", "STO002I"} & set(codes(stage, incident))
    assert stage.world.bot.state(incident).stop is not None

    beside = Bot(stage.house())
    assert beside.narrator.stands(incident, failed.channel, failed.ts)
    assert beside.narrator.stands(incident, stopped.channel, stopped.ts)
    assert not beside.narrator.stands(incident, copy.channel, copy.ts)
    stage.stop_bot()
    stage.start()
    press(bo, stopped, "Go on")
    chen.find("Lifted by Bo Lund", channel="C0INC")
    press(chen, failed, "Run again")
    rita.find("RECOVERED", channel="C0INC", since=failed.ts)


def test_replicas_of_the_cms_stand_on_the_board_in_the_log_and_at_the_end(stage: Stage) -> None:
    rita, bo, chen = (stage.slack.someone(k) for k in ("rita", "bo", "chen"))
    stage.world.sites.tricks[POOL] = [red_and_untouched]
    stage.world.sites.replicas["edge1"] = False
    rita.type("C0INC", "/lync declare-disaster fe1")
    press(bo, bo.find("APPROVE?", dm=True, button="Approve"), "Approve")
    failed = chen.find("FAILED", channel="C0INC", button="Run again")
    # The run stands; the replicas are read all the same.
    board = rita.find("CMS replicas 1 of 2", "Waiting for", channel="C0HOME")
    assert "CMS replicas 1 of 2 · not yet: edge1 · fe1 dead, expected" in " ".join(board.text.split())
    stage.world.sites.replicas["edge1"] = True
    rita.find("CMS replicas 2 of 2 · fe1 dead, expected", "Waiting for", channel="C0HOME")
    press(chen, failed, "Run again")
    summary = rita.find("RECOVERED", channel="C0INC", since=failed.ts)
    whole = " ".join(summary.text.split())
    assert "CMS replicas up to date at" in whole
    assert ": edge1, fe2" in whole
    assert "Dead, so not up to date as expected: fe1" in whole
    assert "☐ CMS replica" not in whole
    rita.find("CMS replicas 2 of 2", "Watched to the end", channel="C0INC")


def test_the_wrong_pool_stops_and_offers_the_other_one(stage: Stage) -> None:
    rita = stage.slack.someone("rita")
    rita.type("C0INC", "/lync declare-disaster fe2")
    stop = rita.find("STOP", "fe2 Leeds", button="Declare fe1 instead")
    assert "Nothing was changed." in stop.text
    press(rita, stop, "Declare fe1 instead")
    rita.find("DISASTER DECLARED · fe1 London", channel="C0INC", since=stop.ts)
    rita.find("APPROVE?", channel="C0INC", button="Approve", since=stop.ts)
    both = [stage.world.bot.state(i.incident) for i in stage.world.bot.journal.incidents()]
    old, new = sorted(both, key=lambda state: state.declared.pool, reverse=True)
    assert old.closed == "hard_stopped"
    assert new.clocks.t1 == old.clocks.t1


def test_under_red_the_asker_insists_and_the_approver_types_the_name(slack: Slack, tmp_path: Path) -> None:
    with on_stage(slack, tmp_path) as stage:
        stage.lost = frozenset({"dns1.ocsguy.local"})
        rita, bo = slack.someone("rita"), slack.someone("bo")
        rita.type("C0INC", "/lync declare-disaster fe1")
        card = rita.find("⛔ fe1 ANSWERS from London", channel="C0INC", button="Still a disaster")
        assert not any("Approve" in label for label in card.labels)
        press(bo, card, "Still a disaster")
        bo.find("You may not say that it is still a disaster", ephemeral=True)
        press(rita, card, "Still a disaster")
        mine = bo.find("says: still a disaster", dm=True, button="Approve")
        press(bo, mine, "Approve")
        field = "Type fe1 to go on"
        assert "Type fe1 to approve" in str(bo.submit({field: "fe2"})["errors"])
        assert stage.world.sites.told == []
        bo.submit({field: "Ｆｅ1."})
        rita.find("APPROVED · Bo Lund", channel="C0INC")
        incident = stage.world.bot.journal.incidents()[-1].incident
        assert {"APR022E", "APR052E", "APR010I"} <= set(codes(stage, incident))


def test_declined_asked_again_and_typed_instead_of_tapped(stage: Stage) -> None:
    rita, bo, chen = (stage.slack.someone(k) for k in ("rita", "bo", "chen"))
    rita.type("C0INC", "/lync declare-disaster fe1")
    card = rita.find("APPROVE?", channel="C0INC", button="Decline")
    press(bo, card, "Decline")
    bo.submit({"Why not?": "<!channel> wait for dc1"})
    over = rita.find("DECLINED · Bo Lund", channel="C0INC", button="Ask again", since=card.ts)
    assert "“<!channel> wait for dc1”" in over.text
    press(rita, over, "Ask again")
    again = rita.find("APPROVE?", channel="C0INC", button="Approve", since=over.ts)
    code = again.text.split("Code: ")[1][:6]
    chen.type("C0INC", "/lync approve fe1 AAAAAA")
    chen.find("not the six characters", ephemeral=True)
    chen.type("C0INC", f"/lync approve fe1 {code.lower()}")
    chen.submit({})
    rita.find("APPROVED · Chen Wu", channel="C0INC")
    rita.find("RECOVERED", channel="C0INC", since=again.ts)


def test_a_question_lapses_and_approvers_are_reminded(slack: Slack, tmp_path: Path) -> None:
    quick = load_policy(POLICY_FILE).model_copy(update={"approval_expiry_s": 3, "remind_every_s": 1})
    with on_stage(slack, tmp_path, policy=quick) as stage:
        rita, bo = slack.someone("rita"), slack.someone("bo")
        rita.type("C0INC", "/lync declare-disaster fe1")
        card = rita.find("APPROVE?", channel="C0INC", button="Approve")
        bo.find("Still waiting", dm=True)
        over = rita.find("EXPIRED", "nobody decided", button="Ask again", since=card.ts)
        assert "Neither yes nor no" in over.text
        rita.type("C0INC", "/lync cancel wrong night")
        rita.find("CANCELLED", channel="C0INC", since=card.ts)
        assert stage.world.sites.told == []


def test_where_the_bot_cannot_post_it_says_so_privately(stage: Stage) -> None:
    rita = stage.slack.someone("rita")
    rita.type("C0BOARD", "/lync declare-disaster fe1")
    said = rita.find("/invite @lync", ephemeral=True, channel="C0BOARD")
    assert "#lync-dr" in said.text
    rita.find("DISASTER DECLARED", channel="C0HOME")
    rita.find("APPROVE?", channel="C0HOME", button="Approve")
    rita.type("C0EXT", "/lync stop")
    rita.find("shared with another company", ephemeral=True, channel="C0EXT")


def test_a_one_time_code_is_asked_for_and_counts_once(slack: Slack, tmp_path: Path) -> None:
    strict = load_policy(POLICY_FILE).model_copy(update={"one_time_code": True})
    with on_stage(slack, tmp_path, policy=strict) as stage:
        rita, bo = slack.someone("rita"), slack.someone("bo")
        assert isinstance(stage.bot, Bot)
        seed = pyotp.parse_uri(stage.bot.conversation.seeds.enroll("bo", "Bo Lund"))
        assert isinstance(seed, pyotp.TOTP)
        rita.type("C0INC", "/lync declare-disaster fe1")
        mine = bo.find("APPROVE?", dm=True, button="Approve")
        press(bo, mine, "Approve")
        assert bo.submit({"Your one-time code": "000000"})["errors"]
        bo.submit({"Your one-time code": seed.now()})
        rita.find("APPROVED · Bo Lund", channel="C0INC")
        incident = stage.world.bot.journal.incidents()[-1].incident
        found = codes(stage, incident)
        assert found.index("APR031E") < found.index("APR010I")
        assert not any("000000" in str(r.body) for r in stage.world.bot.records(incident))


def test_everybody_gets_an_answer(stage: Stage) -> None:
    rita, olaf = stage.slack.someone("rita"), stage.slack.someone("olaf")
    for typed, said in (
        ("whoami", "User URITA"),
        ("help", "What I understand"),
        ("who", "Needed to approve: 2"),
        ("status", "No incident is open"),
        ("plan fe1", "Plan for fe1 London"),
        ("declare-disaster fe9", "There is no pool “fe9”"),
        ("failback fe1", "not built"),
        ("plan fе1", "U+0435"),
    ):
        rita.type("C0INC", f"/lync {typed}")
        rita.find(said, ephemeral=True)
    olaf.type("C0INC", "/lync declare-disaster fe1")
    refused = olaf.find("not in the policy", ephemeral=True)
    assert "Nothing happened" in refused.text
    register = stage.world.bot.journal.read("register")
    assert any(isinstance(r.event, Refused) and r.event.what == "declare" for r in register)
    assert not [s for s in walk(rita.screen("C0INC")) if "DISASTER" in s.text and s.ts > refused.ts]


def test_dialogs_that_only_show_or_correct(stage: Stage) -> None:
    rita, bo, chen = (stage.slack.someone(k) for k in ("rita", "bo", "chen"))
    stage.world.sites.tricks[POOL] = [red_and_half]
    rita.type("C0INC", "/lync declare-disaster fe1")
    card = rita.find("APPROVE?", channel="C0INC", button="Commands")
    press(rita, card, "Commands")
    shown = str(rita.wait(lambda s: s["modal"], "the commands")["modal"])
    assert "Invoke-CsPoolFailOver -PoolFqdn fe1.ocsguy.local -DisasterMode -Verbose -Confirm:$false" in shown
    declared = chen.find("DISASTER DECLARED", channel="C0INC", button="Outage began")
    press(bo, declared, "Outage began")
    assert "hh:mm" in str(bo.submit({"Outage began at (hh:mm, UTC)": "soon"})["errors"])
    bo.submit({"Outage began at (hh:mm, UTC)": "00:00"})
    bo.find("Outage began 00:00. Set.", ephemeral=True)
    board = chen.find("Waiting for", channel="C0INC", button="I take over")
    press(chen, board, "I take over")
    chen.find("Lead Chen Wu", channel="C0INC")

    press(bo, bo.find("APPROVE?", dm=True, button="Approve"), "Approve")
    failed = chen.find("FAILED", channel="C0INC", button="It is done")
    for who, reason in ((chen, "seen on the console"), (bo, "I saw it too")):
        press(who, failed, "It is done")
        who.submit({"Why?": reason})
    decided = chen.find("DECIDED · it is done · Chen Wu, Bo Lund", channel="C0INC")
    assert "against the probe" in " ".join(decided.text.split())


def test_red_text_of_a_step_that_is_done_all_the_same_becomes_a_follow_up(stage: Stage) -> None:
    rita, bo = stage.slack.someone("rita"), stage.slack.someone("bo")
    stage.world.sites.tricks[POOL] = [red_and_done]
    rita.type("C0INC", "/lync declare-disaster fe1")
    press(bo, bo.find("APPROVE?", dm=True, button="Approve"), "Approve")
    red = rita.find("RED TEXT", "done all the same", channel="C0INC")
    assert red.labels == []
    summary = rita.find("RECOVERED", channel="C0INC", button="Follow-ups")
    press(bo, summary, "Follow-ups")
    modal = bo.wait(lambda s: s["modal"], "a dialog")["modal"]
    field = next(p for p in modal["fields"] if p["element"] == "static_select")
    bo.submit({"This one is done": field["options"][0]["value"], "What was done?": "looked, harmless"})
    bo.find("Settled. It stands in the record.", dm=False, ephemeral=True)
