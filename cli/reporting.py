"""The report of one incident, put together from the journal, the register and the policy of this host."""

from __future__ import annotations

from importlib import resources

from cli.roots import Root, now, version
from incident.audit import beside
from incident.export import export_jsonl
from incident.keys import load_writer
from incident.report import Report, html
from incident.verify import verify_export
from incident.verify_approval import by_policy


def make_report(root: Root, writer: str, incident: str, jsonl: bytes | None = None) -> Report:
    """The report, with its own verdict on the record it carries."""
    if jsonl is None:
        by = load_writer(writer, state_dir=root.settings.state, keys=root.keys)
        jsonl = export_jsonl(root.journal, incident, writer=by, keys=root.keys)
    policy = root.desk.rules.policy
    verdict = verify_export(jsonl, keys=root.keys, approvals=by_policy(policy))
    return Report(
        records=root.journal.read(incident),
        jsonl=jsonl,
        made_at=now(),
        version=version(),
        policy=policy,
        beside=beside(root.journal, incident, verified=verdict.summary.rstrip("."), verified_ok=verdict.exit_code == 0),
        verifier=resources.files("incident").joinpath("standalone_verify.py").read_bytes(),
    )


def report_of(root: Root, writer: str, incident: str) -> tuple[str, bytes]:
    """File name and bytes of the HTML report."""
    report = make_report(root, writer, incident)
    return f"{report.name}.html", html(report).encode("utf-8")
