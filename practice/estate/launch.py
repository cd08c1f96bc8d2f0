"""The whole estate: two sites and two DNS servers as processes, one CA, one account, and the files that say so.

Files in the directory: `endpoints.toml` (hosts for the product), `lync.credential` (0600), `env.json` (variables that
name it), `ca.pem`, `estate.json` (each process: its control, WinRM and DNS addresses) and, written last,
`controls.json` (by process name the address of its control; and the trainer's buttons, each a label and a request).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from practice.sites.world import DOMAIN, OCSGUY
from practice.winrm.certificates import Authority

USER = "OCSGUY\\svc-lync-dr"
#: Shown on everything the product says while it works on these endpoints.
BANNER = "PRACTICE: no real server is touched"
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_READY_S = 40.0
_STOP_S = 8.0


class DidNotStart(Exception):
    """A process ended, or said nothing, before it was ready."""


class Member:
    """One process of the estate."""

    def __init__(self, name: str, module: str, arguments: Sequence[str]) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, "--with-parent"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ready: dict[str, Any] = {}
        self._asked = False

    def wait_ready(self) -> None:
        """Read the line in which the process says where it is; raises `DidNotStart`."""
        # The process is ended if it says nothing in time; reading then comes back empty.
        guard = threading.Timer(_READY_S, self.process.kill)
        guard.start()
        assert self.process.stdout is not None
        try:
            line = self.process.stdout.readline()
        finally:
            guard.cancel()
        if not line:
            raise DidNotStart(f"{self.name} ended before it was ready, exit code {self.process.wait()}.")
        self.ready = json.loads(line)

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """GET a page of the control, or POST to it."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.ready["control"] + path, data, {"Content-Type": "application/json"})
        with _NO_PROXY.open(request, timeout=20) as answer:
            return json.load(answer)

    def ask_to_end(self) -> None:
        """One SIGTERM: a second would meet an interpreter that has already put its handlers away."""
        if not self._asked and self.process.poll() is None:
            self.process.terminate()
        self._asked = True

    def stop(self) -> None:
        """End this process, by its own pid, and wait for it."""
        self.ask_to_end()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


class PractisedEstate:
    """Use as a context: entering starts everything and writes the files, leaving stops everything."""

    def __init__(self, out: Path, durations: str = "demo", ttl_s: int = 300) -> None:
        self.out = out
        self.members: dict[str, Member] = {}
        self._durations = durations
        self._ttl_s = ttl_s
        self._credential = out / "lync.credential"

    def __enter__(self) -> PractisedEstate:
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "controls.json").unlink(missing_ok=True)
        self._credential.touch(mode=0o600)
        self._credential.write_text(f"{USER}:{secrets.token_urlsafe(18)}\n", encoding="utf-8")
        try:
            self._start()
            self._write()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        authority = Authority()
        authority.write(self.out / "ca.pem")
        for place in OCSGUY.places:
            name = place.dns.split(".", 1)[0]
            extra = ["--name", name, "--ttl", str(self._ttl_s)]
            self.members[name] = Member(name, "practice.dns", [*self._common(authority, place.dns), *extra])
        self._wait(*self.members)
        for place in OCSGUY.places:
            dns = self.members[place.dns.split(".", 1)[0]].ready
            extra = ["--site", place.name.lower(), "--dns", dns["dns"], "--house", dns["control"]]
            self.members[place.name.lower()] = Member(
                place.name, "practice.sites", [*self._common(authority, place.pool), *extra]
            )
        sites = [place.name.lower() for place in OCSGUY.places]
        self._wait(*sites)
        for one, other in (sites, reversed(sites)):
            self.members[one].ask("/set", {"partner": self.members[other].ready["link"]})

    def _common(self, authority: Authority, fqdn: str) -> list[str]:
        certificate, key = authority.issue(fqdn, self.out)
        return [
            *("--durations", self._durations),
            *("--credential-file", str(self._credential)),
            *("--certificate", str(certificate), "--key", str(key)),
            *("--state", str(self.out)),
        ]

    def _wait(self, *names: str) -> None:
        for name in names:
            self.members[name].wait_ready()

    def _write(self) -> None:
        lines = ["# How the practised hosts are reached. Written anew at each start.", f'practice = "{BANNER}"', ""]
        for member in self.members.values():
            ready = member.ready
            lines += [
                f'[hosts."{ready["fqdn"]}"]',
                f'url = "{ready["winrm"]}"',
                f'ca = "{self.out / "ca.pem"}"',
            ]
            lines += ['transport = "ntlm"', 'credential = "lync"']
            lines += [f'dns = "{ready["dns"]}"', ""] if "dns" in ready else [""]
        (self.out / "endpoints.toml").write_text("\n".join(lines), encoding="utf-8")
        self._json("env.json", {"LYNC_DR_CREDENTIAL_LYNC_FILE": str(self._credential)})
        self._json("estate.json", {n: {**m.ready, "pid": m.process.pid} for n, m in self.members.items()})
        controls = {name: member.ready["control"] for name, member in self.members.items()}
        self._json("controls.json", controls | self.buttons())

    def _json(self, name: str, data: object) -> None:
        temporary = self.out / (name + ".new")
        temporary.write_text(json.dumps(data, indent=1), encoding="utf-8")
        os.replace(temporary, self.out / name)

    def buttons(self) -> dict[str, dict[str, Any]]:
        """What a trainer presses most: a label, and the request behind it."""
        buttons: dict[str, dict[str, Any]] = {}
        for place in OCSGUY.places:
            site = place.name.lower()
            control = self.members[site].ready["control"]
            pull = {"url": control + "/plug", "body": {"up": False}, "danger": True}
            buttons[f"{site}-plug"] = {"label": f"Pull the plug on {place.name}", **pull}
            buttons[f"{site}-power"] = {
                "label": f"Give {place.name} its power back",
                "url": control + "/plug",
                "body": {"up": True},
            }
        surviving = self.members[OCSGUY.places[1].name.lower()].ready["control"]
        for name, label, cmdlet in (
            ("cms-red", "Red text once: CMS failover", "Invoke-CsManagementServerFailover"),
            ("pool-red", "Red text once: pool failover", "Invoke-CsPoolFailOver"),
        ):
            body = {"kind": "red", "cmdlet": cmdlet, "when": "begin"}
            buttons[name] = {"label": label, "url": surviving + "/fault", "body": body}
        home = self.members[OCSGUY.places[0].name.lower()].ready["control"]
        forgotten = {"edges": {f"edge3.{DOMAIN}": OCSGUY.cms}}
        label = "A forgotten Edge pool points at the first pool (press before the plug)"
        buttons["forgotten-edge"] = {"label": label, "url": home + "/set", "body": forgotten}
        cut = {"kind": "cut", "cmdlet": "Invoke-CsPoolFailOver"}
        buttons["pool-cut"] = {
            "label": "Cut the line in mid-failover",
            "url": surviving + "/fault",
            "body": cut,
        }
        for name, label, hint, kind in (
            ("pool-hang", "Hang in mid-failover", f"Until the faults of {OCSGUY.places[1].name} are cleared.", "hang"),
            ("pool-slow", "Slow pool failover", "The next one takes five times as long.", "slow"),
        ):
            body = {"kind": kind, "cmdlet": "Invoke-CsPoolFailOver"}
            buttons[name] = {"label": label, "hint": hint, "url": surviving + "/fault", "body": body}
        for place in OCSGUY.places:
            site = place.name.lower()
            url = self.members[site].ready["control"] + "/clear"
            buttons[f"{site}-clear"] = {"label": f"Clear the faults of {place.name}", "url": url, "body": {}}
        return buttons

    def ended(self) -> Member | None:
        """A process that ended although nobody asked it to."""
        return next((m for m in self.members.values() if m.process.poll() is not None), None)

    def stop(self) -> None:
        for member in reversed(self.members.values()):
            member.ask_to_end()
        for member in self.members.values():
            member.stop()
