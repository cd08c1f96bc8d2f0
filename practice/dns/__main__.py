"""One DNS server as a process: `python -m practice.dns --name dns1 --credential-file FILE`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from practice.dns.cmdlets import DnsCmdlets
from practice.dns.server import DnsServer
from practice.dns.zone import Zone, first_records
from practice.host.control import Control
from practice.host.host import Host
from practice.host.process import parser, read_options, run_until_told
from practice.sites.world import DOMAIN, OCSGUY, SIMPLE_NAMES, TTL_S
from practice.winrm.doorway import open_door


class DnsProcess:
    """The zone, its wires, the server's WinRM, and the trainer's page."""

    def __init__(self, options: Any) -> None:
        fqdn = f"{options.name}.{DOMAIN}"
        hosts = {p.pool.removesuffix("." + DOMAIN): p.address for p in OCSGUY.places} | dict(OCSGUY.extra_hosts)
        self.host = Host(fqdn, options.durations)
        home = OCSGUY.of_pool(OCSGUY.cms)
        assert home is not None
        self.zone = Zone(DOMAIN, fqdn, first_records(SIMPLE_NAMES, home.address, hosts, options.ttl))
        self.host.add(DnsCmdlets(self.zone, fqdn).cmdlets())
        self.dns = DnsServer(self.zone, self.host.power, self.host.faults, options.port)
        self.winrm, self.ca = open_door(self.host, options)
        self.host.pull = lambda: self.plug({"up": False})
        self.control = Control(
            log=self.host.callbook.entries,
            state=lambda: {"up": self.host.power.up, "fqdn": fqdn, **self.zone.state()},
            plug=self.plug,
            faults=self.host.faults,
            begin=self.begin,
            port=options.control_port,
        )

    def plug(self, body: Mapping[str, Any]) -> None:
        up = body["up"]
        if not isinstance(up, bool):
            raise ValueError("up must be true or false.")
        if up:
            self.host.power.restore()
            self.winrm.resume()
            self.dns.resume()
        else:
            self.host.power.pull()
            self.winrm.silence()
            self.dns.silence()

    def begin(self) -> None:
        """The exercise begins again on this server."""
        self.host.faults.clear()
        self.plug({"up": True})
        self.zone.begin()

    def start(self) -> None:
        for part in (self.dns, self.winrm, self.control):
            part.start()

    def close(self) -> None:
        self.host.power.end()
        for part in (self.control, self.winrm, self.dns):
            part.close()


def main() -> None:
    """Run one DNS server until told to end."""
    options = parser("practice.dns", __doc__ or "")
    options.add_argument("--name", required=True, choices=[p.dns.split(".", 1)[0] for p in OCSGUY.places])
    options.add_argument("--port", type=int, default=0, help="DNS port, UDP and TCP")
    options.add_argument("--ttl", type=int, default=TTL_S, help="TTL of the simple names, seconds")
    given = read_options(options)
    process = DnsProcess(given)
    process.start()
    ready = {
        "fqdn": process.host.fqdn,
        "winrm": process.winrm.url,
        "control": process.control.url,
        "dns": f"127.0.0.1:{process.dns.port}",
        "ca": str(process.ca) if process.ca else None,
    }
    run_until_told(ready, given.with_parent, process.close)


if __name__ == "__main__":
    main()
