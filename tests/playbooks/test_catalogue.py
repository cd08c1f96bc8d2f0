"""Only what is in the catalogue can be expressed, and what can be expressed reads exactly as it will run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from playbooks.catalogue import CATALOGUE, Call, call, explain

REFUSED = [
    ("Stop-Computer", {}, "is not in the catalogue"),
    ("Invoke-CsPoolFailOver", {"PoolFqdn": "fe1.ocsguy.local"}, "needs -PoolFqdn -Confirm"),
    ("Invoke-CsPoolFailOver", {"PoolFqdn": "fe1.ocsguy.local", "Confirm": True}, "only :.false is allowed"),
    ("Invoke-CsPoolFailOver", {"PoolFqdn": "fe1.ocsguy.local", "Confirm": False, "Force": True}, "may not be given"),
    ("Invoke-CsPoolFailOver", {"PoolFqdn": "fe1.ocsguy.local; calc", "Confirm": False}, "kind fqdn"),
    ("Invoke-CsPoolFailOver", {"PoolFqdn": "FE1.ocsguy.local", "Confirm": False}, "kind fqdn"),
    ("Invoke-CsPoolFailOver", {"PoolFqdn": "fe１.ocsguy.local", "Confirm": False}, "kind fqdn"),
    # The published how-to prints these two for the forced CMS failover; the cmdlet knows neither form.
    ("Invoke-CsManagementServerFailover", {"MirrorSqlServerFqdn": "a.b.c"}, "may not be given -MirrorSqlServerFqdn"),
    (
        "Invoke-CsManagementServerFailover",
        {"BackupSqlServerFqdn": "fe2.ocsguy.local", "BackupSqlInstanceName": "RTC", "Confirm": False},
        "needs .*-Force",
    ),
    ("Set-CsEdgeServer", {"Identity": "EdgeServer:e.o.l", "Registrar": "fe2.ocsguy.local"}, "kind registrar"),
    (
        "Remove-DnsServerResourceRecord",
        {"ZoneName": "ocsguy.local", "Name": "meet", "RRType": "A", "Force": True},
        "needs .*-RecordData",
    ),
    ("Get-CsService", {}, "needs -CentralManagement or -EdgeServer"),
]


@pytest.mark.parametrize(("cmdlet", "params", "sentence"), REFUSED)
def test_what_is_not_in_the_catalogue_cannot_be_built(cmdlet: str, params: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Call(cmdlet=cmdlet, params=tuple(params.items()))  # type: ignore[arg-type]


def test_a_call_reads_as_it_will_run() -> None:
    move = call("Invoke-CsPoolFailOver", PoolFqdn="fe1.ocsguy.local", DisasterMode=True, Verbose=True, Confirm=False)
    assert move.literal == "Invoke-CsPoolFailOver -PoolFqdn fe1.ocsguy.local -DisasterMode -Verbose -Confirm:$false"
    count = call("Get-CsUser", "@count", Filter="RegistrarPool -eq 'fe1.ocsguy.local'")
    assert count.literal == "Get-CsUser -Filter 'RegistrarPool -eq ''fe1.ocsguy.local'''"
    assert Call.model_validate(move.data()) == move


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(CATALOGUE)), st.text(max_size=40))
def test_no_text_becomes_a_second_command(cmdlet: str, text: str) -> None:
    """Whatever text is put into whatever parameter: refused, or harmless in PowerShell outside quotes."""
    for parameter in CATALOGUE[cmdlet].parameters:
        if parameter.refuses(text) is None:
            assert not set(text) & set(';|&`$(){}\n\r"<>#')


def test_every_state_changing_cmdlet_cannot_prompt() -> None:
    """On a remote host an unanswered prompt is a hang, so the switch against it is part of what is needed."""
    for name in ("Invoke-CsManagementServerFailover", "Invoke-CsPoolFailOver"):
        assert all("Confirm" in need for need in CATALOGUE[name].needs)
        assert CATALOGUE[name].effect == "once"
    assert all("Force" in need for need in CATALOGUE["Remove-DnsServerResourceRecord"].needs)


KNOWN = [
    (
        "Invoke-CsPoolFailOver",
        'This Front-end pool "fe1.ocsguy.local" is specified in\n topology as the next hop for the Edge server.',
        "EDGE_NEXT_HOP",
        "safe",
    ),
    (
        "Invoke-CsPoolFailOver",
        "due to a Distributed Component Object Model (DCOM) error",
        "DCOM_OR_9001",
        "after remedy",
    ),
    ("Invoke-CsPoolFailOver", "the Central Management Server has not been fully failed over", "CMS_INCOMPLETE", "safe"),
    ("Get-CsService", "Cannot access the Central Management Store.", "CMS_UNREACHABLE", "after remedy"),
    ("Test-CsRegistration", "There is no test user assigned for [fe1.o.l]. Verify", "NO_TEST_USER", "no"),
    ("Add-DnsServerResourceRecordA", "Failed to create resource record. WIN32 9711,Add", "DNS_EXISTS", "safe"),
    ("Set-CsEdgeServer", "The term 'Set-CsEdgeServer' is not recognized as the name", "MODULE_MISSING", "safe"),
    ("Set-CsEdgeServer", "Login failed for user 'NT AUTHORITY\\ANONYMOUS LOGON'", "DOUBLE_HOP", "after remedy"),
]


@pytest.mark.parametrize(("cmdlet", "text", "code", "repeat"), KNOWN)
def test_red_text_is_explained(cmdlet: str, text: str, code: str, repeat: str) -> None:
    meaning = explain(cmdlet, text)
    assert (meaning.code, meaning.repeat, meaning.known) == (code, repeat, True)
    assert "{" not in meaning.means + meaning.do


def test_an_unknown_red_text_is_never_guessed_at() -> None:
    meaning = explain("Invoke-CsPoolFailOver", "The flux capacitor is offline.")
    assert not meaning.known
    assert meaning.means == "not in our list of known failures"
    assert "fe1.ocsguy.local" in explain(*KNOWN[0][:2]).means
