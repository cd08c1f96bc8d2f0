"""One site as a process: `python -m practice.sites --site london --credential-file FILE`."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

import dns.exception
import dns.resolver

from practice.host.control import Control
from practice.host.host import Host
from practice.host.process import parser, read_options, run_until_told
from practice.sites.changing import Changing
from practice.sites.link import Heartbeat, LinkServer, SocketLink
from practice.sites.proving import Proving
from practice.sites.reading import Reading
from practice.sites.site import Site
from practice.sites.store import Report
from practice.sites.world import OCSGUY
from practice.winrm.doorway import open_door

_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class SiteProcess:
    """The site, its Front End's WinRM, its line to the partner, and the trainer's page."""

    def __init__(self, options: Any) -> None:
        place = OCSGUY.place(options.site)
        self._dns = options.dns
        self._houses = tuple(options.house)
        self.host = Host(place.pool, options.durations)
        self.link = SocketLink(self.host.power, options.durations["silence"])
        self.site = Site(OCSGUY, place.name, options.durations, self.link)
        self.changing = Changing(self.site)
        self.host.add(Reading(self.site).cmdlets())
        self.host.add(self.changing.cmdlets())
        self.host.add(Proving(self.site, self.resolve).cmdlets())
        self.line = LinkServer(self.site.answer, self.host.power, options.link_port)
        self.winrm, self.ca = open_door(self.host, options)
        self.heartbeat = Heartbeat(self.site.exchange, self.host.power, options.durations["heartbeat"])
        self.host.pull = lambda: self.plug({"up": False})
        self.control = Control(
            log=self.host.callbook.entries,
            state=lambda: {"up": self.host.power.up, "fqdn": place.pool, **self.site.state()},
            plug=self.plug,
            faults=self.host.faults,
            change=self.change,
            begin=self.begin,
            port=options.control_port,
        )
        if options.partner:
            self.link.connect(options.partner)

    def start(self) -> None:
        for part in (self.line, self.winrm, self.heartbeat, self.control):
            part.start()

    def close(self) -> None:
        self.host.power.end()
        for part in (self.heartbeat, self.control, self.winrm, self.line):
            part.close()

    def resolve(self, name: str) -> list[str]:
        """Addresses of a name, from this site's own DNS server, by the wire."""
        host, _, port = self._dns.rpartition(":")
        if not host:
            raise OSError("this site was started without --dns")
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = [host]
        resolver.port = int(port)
        resolver.lifetime = 2.0
        try:
            return [str(answer) for answer in resolver.resolve(name, "A")]
        except dns.exception.DNSException as problem:
            raise OSError(str(problem).split(".", 1)[0]) from None

    def plug(self, body: Mapping[str, Any]) -> None:
        """Power of the whole site, its DNS server included; with `"what": "fe"` of the Front End alone."""
        up = body["up"]
        if not isinstance(up, bool):
            raise ValueError("up must be true or false.")
        if up:
            self.host.power.restore()
            self.winrm.resume()
            self.line.resume()
        else:
            self.host.power.pull()
            self.winrm.silence()
            self.line.silence()
        if body.get("what", "site") == "site":
            for control in self._houses:
                _post(control + "/plug", {"up": up})

    def begin(self) -> None:
        """The exercise begins again on this site; its DNS server is told by its own page."""
        self.host.faults.clear()
        self.plug({"up": True, "what": "fe"})
        self.changing.hydration_failures = 0
        self.site.begin(time.time_ns())

    def change(self, body: Mapping[str, Any]) -> None:
        """The trainer's hand in the state of this site. See `_SETTINGS`."""
        unknown = set(body) - _SETTINGS
        if unknown:
            raise ValueError(f"Nothing is called {', '.join(sorted(unknown))}. Known: {', '.join(sorted(_SETTINGS))}.")
        if "partner" in body:
            self.link.connect(int(body["partner"]))
        self.changing.hydration_failures = int(body.get("hydration_failures", self.changing.hydration_failures))
        site = self.site
        with site.lock:
            site.test_users = dict(body.get("test_users", site.test_users))
            site.paired = bool(body.get("paired", site.paired))
            site.services |= body.get("services", {})
            site.extra_cms_flags = set(body.get("cms_flags", site.extra_cms_flags))
            site.backup_overrides |= {m: (s[0], s[1]) for m, s in body.get("backup", {}).items()}
        change = {key: body[key] for key in ("edges", "pool_state") if key in body}
        if change:
            for edge in set(change.get("edges", {})) - set(site.reports):
                site.reports[edge] = Report(site.database.revision, site.backup_good_at)
            site.write(**change)


_SETTINGS = {
    "partner",
    "test_users",
    "paired",
    "services",
    "cms_flags",
    "backup",
    "edges",
    "pool_state",
    "hydration_failures",
}


def _post(url: str, body: Mapping[str, Any]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with _NO_PROXY.open(request, timeout=10):
        pass


def main() -> None:
    """Run one site until told to end."""
    options = parser("practice.sites", __doc__ or "")
    options.add_argument("--site", required=True, choices=[p.name.lower() for p in OCSGUY.places], type=str.lower)
    options.add_argument("--link-port", type=int, default=0, help="where this site answers its partner")
    options.add_argument("--partner", type=int, default=0, help="the partner's link port; may be set later")
    options.add_argument("--dns", default="", help="host:port of this site's DNS server")
    options.add_argument("--house", action="append", default=[], help="control URL of what else stands in the site")
    given = read_options(options)
    process = SiteProcess(given)
    process.start()
    ready = {
        "fqdn": process.host.fqdn,
        "winrm": process.winrm.url,
        "control": process.control.url,
        "link": process.line.port,
        "ca": str(process.ca) if process.ca else None,
    }
    run_until_told(ready, given.with_parent, process.close)


if __name__ == "__main__":
    main()
