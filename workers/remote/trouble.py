"""What went wrong on the way to a server, in a sentence: sorts the exceptions of requests, urllib3, ssl and spnego.

Sentences are built here from fixed words, the host and numbers; of foreign text only a certificate's reason and a
server's fault reason are quoted, never an exception's own text, which may hold whatever a library put into it.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import requests

from workers.remote.door import Refused, RefusedReason, UnknownReason
from workers.remote.redtext import plain


class Reached(Protocol):
    """What a sentence needs to know about an endpoint."""

    @property
    def url(self) -> str: ...
    @property
    def username(self) -> str: ...
    @property
    def transport(self) -> str: ...


@dataclass(frozen=True)
class Trouble:
    """One kind of trouble. `what` is a clause that goes on from the host's name; `do` is what to look at."""

    what: str
    do: str
    reason: RefusedReason
    unknown_reason: UnknownReason = "connection"
    before_sending: bool = False
    """Certain that no byte of the message reached the server's WinRM service, or that it turned the message away."""

    def refused(self, host: str) -> Refused:
        """The answer while it is certain that nothing was run."""
        return Refused(f"{host} {self.what}. Nothing was run. {self.do}", self.reason)

    def unknown(self, host: str, began: bool) -> str:
        """The sentence once the order may have arrived."""
        certain = "The command had begun and may still be running" if began else "Whether it began is not known"
        return f"{host} {self.what} after the command was sent. {certain}."


_QUOTAS = {
    2150859173: "too many shells are open for this account",
    2150859174: "too many operations are open for this account",
    2150859179: "too many accounts have shells open",
    2150859236: "the quota of this account is used up",
}
"""WSMan quota faults (`ERROR_WSMAN_QUOTA_*`, windows-sys documentation)."""

GONE = 2150858843
"""The server no longer knows the shell or the command (recorded in pypsrp's tests, `test_winrs_bad_cmd_id.yml`)."""

_ABORTED = 995
_ACCESS_DENIED = 5


def trouble_of(error: BaseException, endpoint: Reached) -> Trouble:
    """Sorts an exception. Unknown kinds become the most cautious sentence."""
    port = urlsplit(endpoint.url).port or 5986
    names = {cls.__name__ for e in _chain(error) for cls in type(e).__mro__}
    certificate = next((e for e in _chain(error) if isinstance(e, ssl.SSLCertVerificationError)), None)
    if certificate is not None:
        return _certificate(certificate)
    if "SSLError" in names and not names & {"ReadTimeout", "ConnectTimeout"}:
        return Trouble(
            f"did not complete the TLS handshake on port {port}",
            "Look at the HTTPS listener of WinRM and its certificate.",
            "certificate",
        )
    return _logon(names, endpoint) or _fault(error) or _wire(names, port, error)


def _certificate(error: ssl.SSLCertVerificationError) -> Trouble:
    why = plain(str(error.verify_message or "not valid")).rstrip(".")[:120]
    return Trouble(
        f"showed a certificate that is not accepted ({why})",
        "Nothing secret was sent. Look at the CA file of this host in the endpoints file, at the name and at the dates "
        "of the certificate.",
        "certificate",
        before_sending=True,
    )


def _logon(names: set[str], endpoint: Reached) -> Trouble | None:
    """401 and its kin; CredSSP and spnego have exceptions of their own for a wrong password."""
    rejected = {"InvalidCredentialsError", "AuthenticationError", "PermissionError", "SpnegoError"}
    rejected |= {"KerberosExchangeError", "MutualAuthenticationError", "NTStatusException", "AuthenticationException"}
    if not names & rejected:
        return None
    who = f"the account {plain(endpoint.username)}" if endpoint.username else "the client certificate or ticket"
    return Trouble(
        f"turned {who} away ({endpoint.transport})",
        "Look whether the password is right, the account locked or expired, and allowed to use WinRM there.",
        "credentials",
        before_sending=True,
    )


def _fault(error: BaseException) -> Trouble | None:
    """The server's WinRM service answered, with a fault or an HTTP error."""
    code = getattr(error, "wsman_fault_code", None)
    if code in _QUOTAS:
        return Trouble(
            f"takes no more commands: {_QUOTAS[code]}",
            "Wait for idle shells to end (minutes), or raise the WinRM quotas.",
            "quota",
            "server",
            before_sending=True,
        )
    if code == _ACCESS_DENIED:
        return Trouble(
            "denied access to its shell",
            "Give the account the right to use WinRM shells.",
            "policy",
            "server",
            before_sending=True,
        )
    if code == _ABORTED:
        return Trouble("broke the operation off (its WinRM service may be stopping)", _LOOK, "unreachable", "server")
    if code == GONE:
        return Trouble("no longer knows the shell or the command", _LOOK, "unreachable", "server")
    reason = getattr(error, "reason", None)
    kind = type(error).__name__
    if kind == "WSManFaultError":
        said = plain(str(reason or ""))[:200].rstrip(". ")
        return Trouble(f'answered with the fault "{said}" ({code})', _LOOK, "policy", "server")
    if kind == "WinRMTransportError":
        return Trouble(f"answered with HTTP {getattr(error, 'code', '?')}", _LOOK, "policy", "server")
    return None


_LOOK = "Look at the WinRM service of this host and at what stands between it and this worker."


def _wire(names: set[str], port: int, error: BaseException) -> Trouble:
    if "NameResolutionError" in names or "gaierror" in names:
        return Trouble(
            "has a name that cannot be resolved",
            "Look at DNS as this worker sees it.",
            "unreachable",
            "connection",
            True,
        )
    if "ConnectionRefusedError" in names:
        return Trouble(
            f"refuses connections on port {port}",
            "Look whether its WinRM service runs and has an HTTPS listener.",
            "unreachable",
            "connection",
            True,
        )
    if names & {"ConnectTimeout", "ConnectTimeoutError", "NewConnectionError"}:
        return Trouble(
            f"does not answer on port {port}",
            "Look whether it is up and whether this worker may reach it.",
            "unreachable",
            "connection",
            True,
        )
    if "WinRMOperationTimeoutError" in names:
        return Trouble("did not finish opening a shell in time", _LOOK, "unreachable", "time")
    if names & {"ReadTimeout", "ReadTimeoutError", "TimeoutError"}:
        return Trouble("fell silent", _LOOK, "unreachable", "time")
    if names & {"ConnectionError", "ProtocolError", "ChunkedEncodingError", "OSError", "RequestException"}:
        if isinstance(error, OSError) and not isinstance(error, requests.exceptions.RequestException):
            missing = getattr(error, "filename", None) or "a file"
            return Trouble(
                f"cannot be reached because {plain(str(missing))} cannot be read",
                "Look at the endpoints file.",
                "configuration",
                "connection",
                True,
            )
        return Trouble("broke the connection off", _LOOK, "unreachable")
    if "WinRMError" in names or "ValueError" in names or "ImportError" in names:
        return Trouble(
            "cannot be reached with these settings",
            "Look at transport, account and files of this host in the endpoints file, and whether the extra for its "
            "transport (kerberos, credssp) is installed.",
            "configuration",
            "connection",
            True,
        )
    return Trouble(f"gave an answer that makes no sense ({type(error).__name__})", _LOOK, "unreachable", "answer")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and everything it was made from: causes, contexts, and exceptions wrapped as arguments."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo and len(seen) < 50:
        one = todo.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            todo += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
