"""What `lync-dr doctor` asks the servers: everything that is looked at before a failover, once, read-only."""

from __future__ import annotations

from collections.abc import Iterator

from config.load import Configuration
from playbooks.facts import AnyLook, CallLook, DnsLook, NoAnswer, looks
from workers.looking import Looker
from workers.redact import Redactor
from workers.remote.door import RunId
from workers.remote.winrm_remote import WinRmRemote
from workers.serve import doors, passwords


def trouble_of(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """(host, sentence) of each host in the survey of any pair, "" where it answered everything.

    Takes as long as one survey may take (`survey.budget_s`) at the most. Raises `ConfigError` where a password is
    missing.
    """
    settings, estate, endpoints = configuration.settings, configuration.estate, configuration.endpoints
    remote = WinRmRemote(doors(settings, endpoints), Redactor(passwords(settings, endpoints).values()))
    looker = Looker(remote, endpoints, dns_s=float(estate.survey.dns_s), port_s=float(estate.survey.port_s))
    asked = {look.id: look for pair in estate.pair for pool in pair.pools for look in looks(estate, pool)}
    servers = {key: look for key, look in asked.items() if isinstance(look, CallLook | DnsLook)}
    answers = looker.look(servers.values(), float(estate.survey.budget_s), RunId("doctor", "look", 1))
    found: dict[tuple[str, str], str] = {}
    for key, look in servers.items():
        answer = answers.get(key)
        said = f"did not answer within {estate.survey.budget_s} s" if answer is None else ""
        said = answer.reason if isinstance(answer, NoAnswer) else said
        kind = "WinRM" if isinstance(look, CallLook) else "DNS"
        found[_host(look), kind] = found.get((_host(look), kind)) or said
    for (host, kind), said in sorted(found.items()):
        yield f"{kind} of {host}", said


def _host(look: AnyLook) -> str:
    return look.server if isinstance(look, DnsLook) else str(getattr(look, "host", ""))
