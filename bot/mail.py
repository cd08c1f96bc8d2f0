"""Receipts by e-mail at approval and closure: the record's head in mailboxes that neither Slack nor the store holds."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Final

from bot.draw import story, untrusted
from bot.draw.reader import Reader, thousands
from incident.ending import headline
from incident.policy import MailPolicy
from incident.state import Incident

TIMEOUT_S: Final = 10


@dataclass(frozen=True)
class Sent:
    """Whether the mail server took it."""

    ok: bool
    sentence: str


def receipt(state: Incident, what: str, seq: int, head: str, reader: Reader) -> tuple[str, str]:
    """(subject, text) of one receipt. No link, nothing to press."""
    d = state.declared
    request = next((r for r in reversed(state.requests) if r.state in ("approved", "used")), None)
    voters = reader.names(v.person for v in request.votes) if request else "nobody"
    subject = f"[lync-dr] {what}: {d.pool} {d.site} -> {d.partner} {d.partner_site}, {state.id}"
    text = "\n".join(
        (
            f"{what}: {story.way(state)}, {thousands(d.users)} users.",
            f"Asked by {reader.actor(d.actor)} at {reader.stamp(state.declared_at)}.",
            f"Approved by {voters}{' at ' + reader.stamp(request.approved_at) if request else ''}.",
            *([f"Ended: {headline(state)}."] if state.closed else []),
            f"Plan: {' '.join(state.planned.words) if state.planned else 'none'}.",
            f"Reason: {untrusted.line(d.reason, 300)}",
            "",
            f"Record {seq} of {state.id} has the head",
            head,
            "",
            "Keep this message: it is evidence. A record that does not lead to this head was changed afterwards.",
        )
    )
    return subject.replace("\n", " "), text


def send(policy: MailPolicy, to: Sequence[str], subject: str, text: str, login: tuple[str, str] | None = None) -> Sent:
    """Hand one message to the mail server. The outcome is a value, never an exception."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = policy.sender, ", ".join(to), subject
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="lync-dr.invalid")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    try:
        with smtplib.SMTP(policy.host, policy.port, timeout=TIMEOUT_S) as server:
            if policy.starttls:
                server.starttls(context=ssl.create_default_context())
            if login is not None:
                server.login(*login)
            server.send_message(message)
        return Sent(True, f"{policy.host} took it.")
    except (smtplib.SMTPException, OSError) as bad:
        return Sent(False, f"The mail server {policy.host} port {policy.port} did not take it ({type(bad).__name__}).")
