"""Every code that can stand in a record or in an answer, with its meaning: one table, used by code and documents.

Event codes (success `I`, warning `W`, failure `E`) belong to the event classes; this module adds the codes of
refusals. The same reason has two codes: `APR…` where an approval was at stake, `REF…` for any other act of a
person. What a worker is refused has `RUN…`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from incident.events import Event, Outcome, Refused, ReplicasSeen, Told, event_classes

APPROVAL_ACTS: Final = frozenset({"approve", "decline", "ask", "still_disaster"})
"""Acts whose refusals are coded APR; all others of persons are coded REF."""


@dataclass(frozen=True)
class Reason:
    """Why something was refused: a stable number and one plain sentence."""

    key: str
    number: str
    meaning: str
    families: tuple[str, ...] = ("APR", "REF")


_REASONS: Final = (
    # who
    Reason("self", "020", "The asker tried to approve what they asked for, under any of their accounts.", ("APR",)),
    Reason("nobody", "021", "The account belongs to no person of the policy."),
    Reason("role", "022", "The person does not hold the role this act needs."),
    Reason("guest", "023", "The account is a guest of the workspace."),
    Reason("deleted", "024", "The account is deactivated."),
    Reason("foreign", "025", "The account comes from another workspace or organisation, or none was named."),
    Reason("bot", "026", "The account is a bot or a workflow."),
    Reason("stranger", "027", "The account comes through a shared channel and is a stranger here."),
    Reason("invited", "028", "The account was invited and has never joined."),
    Reason("mail", "029", "The account's mail address is not confirmed."),
    Reason("unseen", "033", "Slack could not be asked about the account at the moment of the act."),
    Reason("group", "034", "The account is not in the Slack group to which the policy narrows approving."),
    Reason("shared", "035", "The policy's entry is a shared account, which may watch and nothing else."),
    Reason("unproven", "036", "In a terminal the person did not prove who they are with a one-time code."),
    # one-time codes
    Reason("code_wrong", "031", "The one-time code was wrong or unreadable."),
    Reason("code_replayed", "032", "The one-time code was used before."),
    Reason("code_missing", "037", "The policy asks for a one-time code and none was given.", ("APR",)),
    Reason("locked", "038", "Too many wrong codes: this person may decide nothing more in this incident."),
    Reason("clock_here", "058", "The clock of the host that took the approval is wrong by more than 30 s.", ("APR",)),
    # the request
    Reason("nonce", "040", "The click belongs to no approval question of this incident.", ("APR",)),
    Reason("stale", "041", "The click carries another plan's digest.", ("APR",)),
    Reason("card", "042", "The click came from a copy: this message is no card of the request, or none of the bot's."),
    Reason("late", "043", "The request was approved already.", ("APR",)),
    Reason("declined", "044", "The request was declined already.", ("APR",)),
    Reason("expired", "045", "The request has expired: neither yes nor no.", ("APR",)),
    Reason("void", "046", "The request no longer holds; what it asked about has changed.", ("APR",)),
    Reason("counted", "047", "This person's approval has been counted already.", ("APR",)),
    Reason("no_request", "048", "There is no approval question.", ("APR",)),
    Reason("short", "049", "The six typed characters are not those on the card.", ("APR",)),
    Reason("not_insisted", "051", "Red warning: the asker has not yet said that it is still a disaster.", ("APR",)),
    Reason("typed", "052", "Red warning: the pool's name was not typed, or another one.", ("APR",)),
    Reason("window", "053", "The approval was given, but its time to start is over.", ("APR",)),
    Reason("asked", "054", "The question is open or answered already.", ("APR",)),
    Reason("no_plan", "055", "There is no plan to ask about.", ("APR",)),
    Reason("not_asker", "056", "Only the asker can say that it is still a disaster.", ("APR",)),
    Reason("not_red", "057", "There is no red warning to answer.", ("APR",)),
    Reason("asker_gone", "059", "Whoever asked may no longer declare, so nobody can approve it.", ("APR",)),
    # other acts of persons
    Reason("closed", "060", "The incident is closed."),
    Reason("no_incident", "061", "There is no such incident.", ("REF",)),
    Reason("too_late", "062", "A state-changing call has been sent; cancelling is no longer possible.", ("REF",)),
    Reason("stopped", "063", "A stop is already standing.", ("REF",)),
    Reason("not_stopped", "064", "No stop is standing.", ("REF",)),
    Reason("no_failure", "065", "No step waits for a ruling.", ("REF",)),
    Reason("other_attempt", "066", "The ruling is about an attempt that is over.", ("REF",)),
    Reason("said", "067", "This person has said the same already.", ("REF",)),
    Reason("not_running", "068", "Nothing is running and nothing is waiting to run.", ("REF",)),
    Reason("not_over", "069", "The incident cannot be closed yet.", ("REF",)),
    Reason("impossible_time", "070", "The outage cannot have begun then.", ("REF",)),
    Reason("no_follow_up", "071", "There is no such open follow-up.", ("REF",)),
    Reason("pair_busy", "072", "The pair of pools belongs to another open incident.", ("REF",)),
    Reason("false_claim", "074", "The store has a claim on the pair that no open incident made.", ("REF",)),
    Reason("nothing_to_confirm", "073", "Nothing has been moved yet, so there is no service to confirm.", ("REF",)),
    # what came over HTTP
    Reason("forged", "080", "The request did not bear Slack's signature over these bytes and this time.", ("REF",)),
    Reason("replayed", "081", "The very same signed request had come before.", ("REF",)),
    # hands
    Reason("epoch", "020", "Another worker has taken the run over.", ("RUN",)),
    Reason("not_approved", "021", "There is no approval to run under.", ("RUN",)),
    Reason("window_over", "022", "The time to begin has passed since the approval.", ("RUN",)),
    Reason("halted", "023", "A person has stopped the run.", ("RUN",)),
    Reason("digest", "024", "The plan built again from the record is not the approved one.", ("RUN",)),
    Reason("approval_bad", "025", "By this worker's own policy the approval does not hold.", ("RUN",)),
    Reason("assumptions", "026", "Something the plan rests on is no longer so.", ("RUN",)),
    Reason("clock", "027", "This host's clock is wrong by more than 30 s.", ("RUN",)),
    Reason("in_flight", "028", "A call is in flight; its outcome must be recorded first.", ("RUN",)),
    Reason("order", "029", "A step before this one is not settled.", ("RUN",)),
    Reason("settled", "030", "The step is settled already.", ("RUN",)),
    Reason("needs_ruling", "031", "The step may run again only after people have ruled.", ("RUN",)),
    Reason("not_in_plan", "032", "The call is not in the approved plan.", ("RUN",)),
    Reason("second_outcome", "033", "The attempt has its outcome, or never began.", ("RUN",)),
    Reason("not_started", "034", "The run has not begun.", ("RUN",)),
    Reason("started", "035", "The run has begun already.", ("RUN",)),
    Reason("run_closed", "036", "The incident is closed or its run has ended.", ("RUN",)),
    Reason("aborted", "037", "People have ended the run.", ("RUN",)),
    Reason("unsettled", "038", "A step is not settled, so the run cannot end.", ("RUN",)),
    Reason("too_early", "040", "Planned work may not begin before its hour.", ("RUN",)),
    Reason("no_hand", "039", "No worker has taken the run.", ("RUN",)),
    Reason("files", "042", "This worker's files are not those with which the plan was made.", ("RUN",)),
    Reason(
        "not_watched", "045", "No replicas are to be watched: the CMS has not moved, or the watch has ended.", ("RUN",)
    ),
    Reason("not_believed", "046", "A worker has seen that records of this journal are lost or changed.", ("RUN",)),
    Reason("pair_passed", "044", "The pair of pools has passed to another open incident.", ("RUN",)),
    Reason("recheck", "041", "The last click is old, and Slack was not asked again about the approvers.", ("RUN",)),
)
REASONS: Final = {reason.key: reason for reason in _REASONS}


def reason_code(key: str, what: str) -> str:
    """The refusal's code for the reason `key` when `what` was tried, for example `APR020E`."""
    reason = REASONS[key]
    family = "APR" if what in APPROVAL_ACTS else "RUN" if "RUN" in reason.families else "REF"
    if family not in reason.families:
        family = reason.families[0]
    return f"{family}{reason.number}E"


def table() -> dict[str, str]:
    """Every code there is -> its meaning, sorted by code."""
    rows: dict[str, str] = {}
    for cls in event_classes().values():
        for code in codes_of(cls):
            rows[code] = " ".join((cls.__doc__ or "").split())
    rows |= _FINER
    for reason in _REASONS:
        for family in reason.families:
            rows[f"{family}{reason.number}E"] = reason.meaning
    return dict(sorted(rows.items()))


def codes_of(cls: type[Event]) -> tuple[str, ...]:
    """All codes one class of events can have."""
    if cls is Outcome:
        return ("STP003I", "STP004I", "STP005I", "STP003E", "STP004E", "STP003W")
    if cls is Told:
        return ("NTF001I", "NTF001E")
    if cls is ReplicasSeen:
        return ("RPL001I", "RPL002I", "RPL002W")
    return () if cls is Refused else (cls.CODE,)


_FINER: Final = {
    "STP003I": "The call ended without errors.",
    "STP004I": "The call's end was not seen; the read-back shows that it was done.",
    "STP005I": "The call's end was not seen; the read-back shows that it never began.",
    "STP003E": "The call ended with red text.",
    "STP004E": "The call was refused before anything was run.",
    "STP003W": "What became of the call is not known.",
    "RPL001I": "Replicas of the Central Management Store are watched: one of them changed, or the first reading.",
    "RPL002I": "Every replica of the Central Management Store that lives is up to date.",
    "RPL002W": "The time for watching the replicas of the Central Management Store is over; not all are up to date.",
    "NTF001I": "Somebody was reached.",
    "NTF001E": "Somebody could not be reached.",
}


def as_markdown() -> str:
    """The table as a page of the documentation."""
    lines = [
        "# Codes",
        "",
        "Every record and every refusal bears one of these codes; none is ever used for anything else. They end in `I`",
        "(it happened), `W` (mind this) or `E` (refused or failed). `APR` and `REF` share their reasons: `APR` where",
        "an approval was at stake, `REF` for any other act of a person; `RUN…E` is what a worker was refused.",
        "",
        "| code | meaning |",
        "|---|---|",
    ]
    return "\n".join([*lines, *(f"| `{code}` | {meaning} |" for code, meaning in table().items()), ""])
