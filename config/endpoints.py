"""Where and how each host of the estate is reached. A file of its own, so that the same estate can be practised.

Only HTTPS. Accounts are named by reference; the secrets behind the names come from the environment
(``LYNC_DR_CREDENTIAL_<NAME>``), so this file may lie in version control.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from playbooks.estate import Fqdn, Frozen

WINRM_HTTPS_PORT = 5986
"""The port WinRM listens on over HTTPS ("Installation and configuration for Windows Remote Management")."""
DNS_PORT = 53


def _https(text: str) -> str:
    parts = urlsplit(text)
    try:
        port_is_sound = parts.port is None or parts.port > 0
    except ValueError:
        port_is_sound = False
    if parts.scheme != "https" or not parts.hostname or not port_is_sound:
        raise ValueError("expected an address such as https://fe1.example.com:5986/wsman; only https is spoken")
    if parts.username or parts.password:
        raise ValueError('an address holds no account; name it with credential = "…" instead')
    return text


def _address(text: str) -> str:
    host, _, port = text.rpartition(":") if ":" in text else (text, "", str(DNS_PORT))
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise ValueError(f"expected an IP address and a port such as 10.0.0.53:53, found {text!r}") from None
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"expected a port from 1 to 65535 after the address, found {text!r}")
    return text


def _reference(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,40}", text):
        # Not repeated: this is where an account and its password end up by mistake.
        raise ValueError("expected the name of a credential, such as winrm, not an account or a password")
    return text


Reference = Annotated[str, AfterValidator(_reference)]
"""The name of a credential or secret; never the thing itself."""


class Endpoint(Frozen):
    """One host. ``dns`` is the address at which a DNS server answers questions; ``url`` is where it takes orders."""

    url: Annotated[str, AfterValidator(_https)]
    transport: Literal["ntlm", "kerberos", "credssp", "certificate", "basic"] = "ntlm"
    credential: Reference | None = None
    ca: str | None = None
    ca_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    server_name: Fqdn | None = None
    delegate: bool = False
    client_cert: str | None = None
    client_key: str | None = None
    dns: Annotated[str, AfterValidator(_address)] | None = None

    @model_validator(mode="after")
    def _transport_has_what_it_needs(self) -> Endpoint:
        if self.transport == "certificate" and not (self.client_cert and self.client_key):
            raise ValueError('transport = "certificate" needs client_cert and client_key')
        if self.transport in ("ntlm", "credssp", "basic") and self.credential is None:
            raise ValueError(f'transport = "{self.transport}" needs credential, the name of an account')
        if self.transport != "kerberos" and (self.server_name or self.delegate):
            raise ValueError('server_name and delegate belong to transport = "kerberos"')
        return self

    @property
    def door(self) -> tuple[str, int]:
        """Host and port that the address names."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or WINRM_HTTPS_PORT


class Endpoints(Frozen):
    """Every host we reach. ``practice`` is the banner of a rehearsal and empty for the real thing."""

    practice: Annotated[str, Field(max_length=120)] = ""
    hosts: Mapping[Fqdn, Endpoint]

    def door(self, host: str) -> tuple[str, int] | None:
        """Address and port of the host's remote-management door; None when the file has no place for the host."""
        found = self.hosts.get(host)
        return found.door if found else None

    def dns(self, host: str) -> tuple[str, int] | None:
        """IP address and port at which the DNS server answers questions; None when the file does not say."""
        found = self.hosts.get(host)
        if found is None or found.dns is None:
            return None
        address, _, port = found.dns.rpartition(":") if ":" in found.dns else (found.dns, "", str(DNS_PORT))
        return address.strip("[]"), int(port)

    def credentials(self) -> tuple[str, ...]:
        """The references of all accounts in use, each once."""
        return tuple(dict.fromkeys(e.credential for e in self.hosts.values() if e.credential))

    def slice_of(self, hosts: Iterable[str]) -> dict[str, Any]:
        """What of this file concerns ``hosts``, as JSON data: where each is and who vouches for it, by the content of
        its CA file rather than by the place where that lies on this machine."""
        local = {"ca", "client_cert", "client_key"}
        return {h: self.hosts[h].model_dump(mode="json", exclude=local) for h in sorted(set(hosts)) if h in self.hosts}
