"""The attacks on two-person approval and the tests that make them; `docs/approval.md` prints this.

A test of this room, or of `tests/hostile` (whoever can write to the store), names the attack it makes:
`test_a13_…`. Tests elsewhere that hold the same line are named here. What each attack is called elsewhere in the
open literature, and which remedy is usual, stands in the words of its row.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
_IDS = {"A": 16, "B": 9, "C": 6, "D": 7, "E": 7, "F": 6}
IDS = tuple(f"{letter}{n}" for letter, most in _IDS.items() for n in range(1, most + 1))


@dataclass(frozen=True)
class Attack:
    """One way in, and what stands in it."""

    threat: str
    answer: str
    instead: str = ""
    """Which usual remedy this one replaces, and why."""
    more: tuple[str, ...] = ()
    """Tests elsewhere: path below `tests/`, two colons, name."""


ATTACKS: dict[str, Attack] = {
    "A1": Attack("the asker approves", "persons are compared; there is no switch. APR020E"),
    "A2": Attack("the asker approves with a second account", "a person owns all their ids. APR020E"),
    "A3": Attack("a shared account approves", "it may only watch, whatever roles it is given. APR035E"),
    "A4": Attack(
        "somebody binds an account to another's name",
        "no command binds anything; claimed names are decoration. APR021E",
        "a confirmed `/lync link`: binding is a change of the policy file, under your version control",
    ),
    "A5": Attack("a guest approves", "asked of Slack at the tap. APR023E"),
    "A6": Attack(
        "another workspace, organisation, shared channel",
        "team, organisation and stranger flag at the tap; nothing from shared channels. APR025E, APR027E",
    ),
    "A7": Attack("deactivated, never joined, address not confirmed", "APR024E, APR028E, APR029E"),
    "A8": Attack("a bot, a workflow, a press by nobody", "APR026E, APR021E"),
    "A9": Attack("the same display name", "immutable ids decide. APR021E"),
    "A10": Attack(
        "the approver loses the right after the tap",
        "Slack is asked again before a late start, the worker judges by its own policy. APR016E, RUN025E, RUN042E",
        more=(
            "bot/test_watch.py::test_who_lost_the_right_between_tap_and_start_no_longer_counts",
            "bot/test_watch.py::test_slack_is_asked_again_about_the_very_account_that_approved",
            "bot/test_watch.py::test_one_answer_that_fails_does_not_stand_for_a_person",
        ),
    ),
    "A11": Attack(
        "a group's name is used elsewhere",
        "a group is an id, flat, and only narrows; what cannot be read holds nobody. APR034E",
        more=("bot/test_doors.py::test_a_group_only_narrows_and_an_unreadable_one_holds_nobody",),
    ),
    "A12": Attack("the plan changes after the card", "the question is void, a new card shows the difference. APR046E"),
    "A13": Attack(
        "approved is what was re-read, not what was shown", "digest and nonce of the button. APR041E, APR040E"
    ),
    "A14": Attack(
        "the world changes, the plan's text does not",
        "assumptions are part of the plan, looked at again while a card is open and before the start. RUN026E, APR051E",
        more=("workers/test_trust_nobody.py::test_what_is_no_longer_so_asks_again",),
    ),
    "A15": Attack(
        "one card decides another question", "incident, question and nonce come from the button. APR040E, APR042E"
    ),
    "A16": Attack(
        "a copied, quoted, forwarded or forged card",
        "team, channel and time stamp of our own posts. APR042E; so for rulings, going on and “It works”: REF042E",
        more=(
            "bot/test_flows.py::test_a_copy_of_a_button_decides_nothing_and_the_true_one_does_so_also_after_a_restart",
        ),
    ),
    "B1": Attack(
        "no or a bad signature, a bad time",
        "checked on the raw body before anything is read. REF080E, the first at once, the others counted each minute",
        more=("bot/test_doors.py::test_only_what_slack_signed_comes_in_and_only_once",),
    ),
    "B2": Attack("the same signed body again", "seen once, for 15 minutes. REF081E"),
    "B3": Attack("Slack delivers again", "an envelope counts once; the tap itself once. Counted, not written again"),
    "B4": Attack("two taps in the same moment", "compare and append: one counts, one run begins. APR043E, APR047E"),
    "B5": Attack(
        "the bot dies between card and tap", "the record knows the card; no button is met with silence. REF061E"
    ),
    "B6": Attack("a tap that arrives late", "the clock and the record decide, not the drawing. APR045E"),
    "B7": Attack("the bot's token edits the card", "a button is a reference; false cards are drawn over. APR041E"),
    "B8": Attack(
        "somebody writes to the store",
        "every record is signed, each kind of writer may write its own kind; the worker believes nothing else",
        "a keyed hash in the pending record: signatures with public keys need no secret at the reader",
        more=(
            "hostile/test_the_store_lies.py::test_a_forged_record_starts_nothing",
            "hostile/test_the_store_lies.py::test_a_journal_that_was_tampered_with_starts_nothing",
            "hostile/test_the_store_lies.py::test_a_stolen_lease_only_delays",
            "hostile/test_the_store_lies.py::test_stolen_holds_and_flooded_bells_only_delay",
            "hostile/test_the_store_lies.py::test_a_planted_claim_on_the_pair_is_refused_as_what_it_is_until_it_is_deleted",
            "workers/test_trust_nobody.py::test_a_forged_record_halts_the_hands",
            "workers/test_trust_nobody.py::test_another_plan_in_the_name_of_a_true_worker_is_not_the_approved_one",
            "workers/test_trust_nobody.py::test_a_cut_tail_halts_the_hands_of_a_host_that_saw_it",
            "workers/test_trust_nobody.py::test_an_incident_replayed_under_another_name_halts_the_hands",
        ),
    ),
    "B9": Attack(
        "a job with other contents",
        "JSON, a list of allowed functions, plain short arguments",
        more=("workers/test_real.py::test_a_ring_runs_the_approved_plan_and_a_forged_one_runs_nothing",),
    ),
    "C1": Attack("long dashes for hyphens", "understood in verb and pool, verbatim in the record. INC002I"),
    "C2": Attack("curly quotes, lone apostrophes", "no shell rules; the reason is kept as typed. INC004I"),
    "C3": Attack("capitals, full width, invisible characters", "understood"),
    "C4": Attack("a letter that only looks like ours", "named by its code point; nothing is done or written"),
    "C5": Attack(
        "autocorrected to another valid pool",
        "the wrong pool of a pair has no card; a typed approval names pool and six characters. PLN002E, APR049E",
        "typing the name every time: it is typed under a red warning; else one confirm names pool, site and users",
        more=("bot/test_flows.py::test_the_wrong_pool_stops_and_offers_the_other_one",),
    ),
    "C6": Attack("a near miss is carried out", "suggestions are text; nothing is done or written"),
    "D1": Attack("two runs for one pair", "the second declaration joins the first. INC002I"),
    "D2": Attack(
        "the question expires unseen",
        "a message to each approver every minute, the pager beside it, and a message at the end",
        "reminders at 3 and 7 minutes: at night a minute is long",
        more=("bot/test_watch.py::test_pager_and_mail_reach_people_and_stand_in_the_record",),
    ),
    "D3": Attack("the clock of the start runs from the question", "two times, each from its own moment. APR053E"),
    "D4": Attack("silence counts as an answer", "neither yes nor no; one tap asks again. APR014W"),
    "D5": Attack(
        "no threshold, an empty list",
        "a quorum below two cannot be loaded; empty means nobody. Nothing is decided without a policy",
    ),
    "D6": Attack("the rules change under an open question", "they are in the digest: a new card. APR046E"),
    "D7": Attack(
        "another playbook runs than the approved one",
        "the worker makes the plan again from the record with its own files. RUN024E, RUN042E",
        more=("workers/test_trust_nobody.py::test_another_estate_starts_nothing",),
    ),
    "E1": Attack(
        "nobody is awake",
        "nothing begins by itself; everybody is woken every minute and `who` has the numbers",
        "break-glass: none is built. The emergency path is the printed runbook under your own procedure",
        more=("bot/test_doors.py::test_the_pager_is_rung_again_until_it_takes_it",),
    ),
    "E2": Attack(
        "Slack is away",
        "who cannot be asked about decides nothing in Slack (APR033E); in a terminal the same rules with a code",
        "two logins on the host: a login is an account, a code is a person's",
        more=(
            "stories/test_terminal.py::test_the_whole_way_in_a_terminal",
            "bot/test_restart.py::test_slack_down_and_rate_limited_posts_come_later_with_their_own_times",
        ),
    ),
    "E3": Attack("the list of approvers is old", "the policy is read at each tap. APR021E, APR022E"),
    "E4": Attack("being in the channel counts as a right", "it counts nothing. APR022E"),
    "E5": Attack(
        "a right is lent on",
        "it cannot be lent",
        "one dated level of delegation: not built; name more approvers in the policy instead",
    ),
    "E6": Attack(
        "approved under pressure, or with a stolen phone",
        "one confirm with the worst consequence; under red the name, elsewhere a code if policy asks. "
        "APR052E, APR031E, APR038E",
        "a typed name and five dead seconds every time: friction follows doubt",
        more=("bot/test_flows.py::test_a_one_time_code_is_asked_for_and_counts_once",),
    ),
    "E7": Attack(
        "limits of Slack hide what happens",
        "answers and cards before red text before state before progress; what was limited comes later",
        "one edit every three seconds: one board, edited on change and every ten seconds",
        more=("bot/test_restart.py::test_slack_down_and_rate_limited_posts_come_later_with_their_own_times",),
    ),
    "F1": Attack(
        "live mentions and links in output or reason",
        "text of others only where Slack parses nothing; escaped in the push line",
        more=("bot/test_draw.py::test_no_text_of_others_comes_alive",),
    ),
    "F2": Attack("backticks leave the block", "no fence is used"),
    "F3": Attack("links are fetched", "unfurling is off; no link in the push line is whole"),
    "F4": Attack("colour codes, direction marks, controls", "stripped for the channel, kept in the record's blob"),
    "F5": Attack(
        "a mebibyte of output",
        "first and last lines, counted; whole in the blob",
        more=("bot/test_draw.py::test_huge_output_keeps_its_first_and_last_lines",),
    ),
    "F6": Attack("a password in output", "redacted before record, Slack and log"),
}


@cache
def named() -> dict[str, tuple[str, ...]]:
    """Attack -> the tests of this room and of `tests/hostile` that are named after it."""
    found: dict[str, list[str]] = {ident: [] for ident in IDS}
    for room in ("attacks", "hostile"):
        for file in sorted((TESTS / room).glob("test_*.py")):
            for name in functions(file):
                if match := re.match(r"test_([a-f]\d+)_", name):
                    found[match[1].upper()].append(f"{room}/{file.name}::{name}")
    return {ident: tuple(tests) for ident, tests in found.items()}


def functions(file: Path) -> list[str]:
    """The test functions of one file, in order."""
    return [n.name for n in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(n, ast.FunctionDef)]


def as_markdown() -> str:
    """The table for the auditor."""
    rows = ["| | attack | what stands in its way | instead of the usual remedy | tests |", "|---|---|---|---|---|"]
    for ident, attack in ATTACKS.items():
        tests = "<br>".join(f"`{test}`" for test in (*named()[ident], *attack.more))
        rows.append(f"| {ident} | {attack.threat} | {attack.answer} | {attack.instead or '–'} | {tests} |")
    return "\n".join(rows)
