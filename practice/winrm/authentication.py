"""Who is calling: Basic and NTLM, per connection, as WinRM does it over HTTPS."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import spnego
from spnego.exceptions import SpnegoError

#: pyspnego's acceptor finds its accounts only through NTLM_USER_FILE; several hosts may live in one process.
_STORE = threading.Lock()


@dataclass(frozen=True)
class Account:
    """The one account that may log on, and the file in which pyspnego reads it."""

    user: str
    password: str
    store: Path

    @classmethod
    def create(cls, user: str, password: str, store: Path) -> Account:
        """Write the store (0600). `user` may be `DOMAIN\\name`."""
        domain, _, name = user.rpartition("\\")
        lines = {f"{domain}:{name}:{password}", f":{name}:{password}", f":{user}:{password}"}
        store.touch(mode=0o600)
        store.write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8")
        return cls(user, password, store)


class Caller:
    """Authentication of one connection: NTLM belongs to the connection, not to the request."""

    #: Offered in separate headers, as http.sys does.
    OFFERS = ("Negotiate", 'Basic realm="WSMAN"')

    def __init__(self, account: Account) -> None:
        self._account = account
        self._context: spnego.ContextProxy | None = None
        self.user = ""

    def answer(self, header: str | None) -> str | None:
        """Look at an Authorization header; returns the challenge to send with 401, or None.

        Afterwards `user` says who it is; empty means: not let in.
        """
        if not header:
            return None
        scheme, _, token = header.partition(" ")
        try:
            raw = base64.b64decode(token.strip(), validate=True)
        except binascii.Error:
            return None
        if scheme.lower() == "basic":
            self._basic(raw)
            return None
        if scheme.lower() in ("negotiate", "ntlm"):
            return self._negotiate(scheme, raw)
        return None

    def _basic(self, raw: bytes) -> None:
        user, _, password = raw.decode("utf-8", "replace").partition(":")
        allowed = (self._account.user, self._account.user.rpartition("\\")[2])
        matches = hmac.compare_digest(password.encode(), self._account.password.encode())
        self.user = self._account.user if matches and user in allowed else ""

    def _negotiate(self, scheme: str, raw: bytes) -> str | None:
        with _STORE:
            os.environ["NTLM_USER_FILE"] = str(self._account.store)
            try:
                if self._context is None or raw.startswith(b"NTLMSSP\x00\x01"):
                    self.user = ""
                    protocol = "ntlm" if raw.startswith(b"NTLMSSP") else "negotiate"
                    options = spnego.NegotiateOptions.use_ntlm | spnego.NegotiateOptions.use_negotiate
                    self._context = spnego.server(protocol=protocol, options=options)
                token = self._context.step(raw)
            except (SpnegoError, ValueError, KeyError):
                self._context = None
                return None
        if self._context.complete:
            self.user = self._account.user
        return f"{scheme} {base64.b64encode(token).decode()}" if token else None
