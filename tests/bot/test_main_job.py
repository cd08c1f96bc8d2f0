"""From the command to the summary, as people see it."""

from __future__ import annotations

from cli.someone import label_of
from tests.bot.stage import Stage


def test_declare_refuse_self_approve_run_recover(stage: Stage) -> None:
    rita, bo, olaf = (stage.slack.someone(k) for k in ("rita", "bo", "olaf"))
    rita.type("C0INC", "/lync Declare–disaster Fe1 dc1 power, it’s “dark”")
    declared = rita.find("DISASTER DECLARED", "fe1 London", channel="C0INC")
    assert "“dc1 power, it’s “dark”" in declared.text
    assert "Nothing has changed yet." in declared.text
    assert "first of two" in rita.find("first of two", ephemeral=True).text
    card = rita.find("APPROVE?", channel="C0INC", button="Approve", limit_s=15)

    rita.press(card, label_of(card, "Approve"))
    rita.find("another person must approve", ephemeral=True)
    olaf.press(card, label_of(card, "Approve"))
    olaf.find("not an approver", ephemeral=True)

    mine = bo.find("APPROVE?", dm=True, button="Approve")
    asked = bo.press(mine, label_of(mine, "Approve"))
    assert "fe1 London" in asked["confirm"]["title"]
    assert "4,212 users" in asked["confirm"]["text"]
    bo.find("Your approval counted", dm=True, ephemeral=False)
    rita.find("APPROVED", "Bo Lund", channel="C0INC")
    summary = rita.find("RECOVERED", channel="C0INC", button="Stakeholder text", limit_s=30)
    assert "fe2 Leeds" in summary.text
