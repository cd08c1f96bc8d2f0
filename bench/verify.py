"""Records a second of processor time: verified, with a signature on every record and with the chain alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from incident.events import Actor, Closed, Declared, Event, Noted, Output
from incident.export import export_jsonl
from incident.journals.memory import MemoryStore
from incident.journals.signed import SignedJournal
from incident.keys import Keys, Writer
from incident.verify import verify_export

RECORDS = 6000


def verify() -> None:
    """Two records of the same length, one of notes that are all signed, one of output batches that are only chained."""
    bot = Writer("bot", "bot", Ed25519PrivateKey.generate())
    act = Writer("act", "worker", Ed25519PrivateKey.generate())
    keys = Keys([bot.public, act.public])
    note = Noted(actor=Actor(person="rita", name="Rita", via="cli"), text="the carrier called and said nothing at all")
    output = Output(step="pool", attempt=1, lines=(("verbose", "Hydrating routing group 4 of 6"),))
    rates = {}
    for kind, writer, event in (("signed", bot, note), ("chained", act, output)):
        data = _export(bot, writer, keys, event)
        began = time.process_time()
        verdict = verify_export(data, keys=keys)
        rates[kind] = RECORDS / (time.process_time() - began)
        print(f"verify   {kind:<8} {rates[kind]:>9,.0f} records per CPU second   ({verdict.summary[:60]})")
    print(f"verify   a signature makes a record {rates['chained'] / rates['signed']:.1f} times as slow to verify")


def _export(bot: Writer, writer: Writer, keys: Keys, event: Event) -> bytes:
    store, name = MemoryStore(), f"{datetime.now(UTC):%Y%m%d}-fe1-a"
    at = SignedJournal(store, keys=keys, writer=bot, copies=None).open(name, "fe1-fe2", [_declared()])
    at = SignedJournal(store, keys=keys, writer=writer, copies=None).append(at, [event] * RECORDS)
    whole = SignedJournal(store, keys=keys, writer=bot, copies=None)
    whole.append(at, [Closed(result="cancelled", sentence="Over.")])
    return export_jsonl(whole, name, writer=bot, keys=keys)


def _declared() -> Declared:
    return Declared(
        playbook="declare-disaster", pool="fe1", pool_fqdn="fe1.ocsguy.local", site="London", partner="fe2",
        partner_fqdn="fe2.ocsguy.local", partner_site="Leeds", users=4212, reason="", raw="/lync declare-disaster fe1",
        channel="C0INC", rto_s=900,
    )  # fmt: skip
