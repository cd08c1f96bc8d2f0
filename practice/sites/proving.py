"""Synthetic transactions: what a user would meet right now (Microsoft, "Testing user log on to the server" and kin).

A failed transaction is data (`Result : Failure`), not an error. The meeting page is found as a browser would find
it: by asking this site's DNS server for the simple name.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

from practice.host.cmdlets import Bound, Cmdlet, Parameter, Turn
from practice.sites import texts
from practice.sites.site import Silent, Site
from practice.sites.world import DOMAIN, Place

_SYNTHETIC = "Microsoft.Rtc.Management.SyntheticTransactions."
Resolve = Callable[[str], list[str]]


class Proving:
    """The Test-Cs* cmdlets of one Front End. `resolve` gives the addresses of a name, or raises `OSError`."""

    def __init__(self, site: Site, resolve: Resolve) -> None:
        self._site = site
        self._resolve = resolve

    def cmdlets(self) -> list[Cmdlet]:
        target = Parameter("TargetFqdn", "Fqdn", required=True)
        common = (
            target,
            Parameter("RegistrarPort", "Int32"),
            Parameter("Authentication"),
            Parameter("Force", "Switch"),
        )
        user = Parameter("UserSipAddress")
        pair = (Parameter("SenderSipAddress"), Parameter("ReceiverSipAddress"))
        return [
            self._cmdlet("Test-CsRegistration", (*common, user), self._registration),
            self._cmdlet("Test-CsPresence", (*common, *pair), self._registration),
            self._cmdlet("Test-CsIM", (*common, *pair), self._registration),
            self._cmdlet("Test-CsUcwaConference", (*common, *pair), self._registration),
            self._cmdlet(
                "Test-CsWebScheduler",
                (*common, user, Parameter("TargetUri"), Parameter("External", "Switch")),
                self._web_page,
            ),
        ]

    def _cmdlet(self, name: str, parameters: tuple[Parameter, ...], body: Callable[[Turn, Bound, str], None]) -> Cmdlet:
        short = name.replace("-", "") + "Cmdlet"
        return Cmdlet(name, parameters, lambda turn, bound: body(turn, bound, short), _SYNTHETIC + short)

    def _registration(self, turn: Turn, bound: Bound, cmdlet: str) -> None:
        target = bound["TargetFqdn"].lower()
        place = self._site.world.of_pool(target)
        if place is None:
            raise texts.no_cluster(target, cmdlet)
        users = [str(bound[p]) for p in ("UserSipAddress", "SenderSipAddress", "ReceiverSipAddress") if bound.has(p)]
        if not users:
            users = [sip for sip, home in self._site.test_users.items() if home == target][:1]
        if not users:
            raise texts.no_test_user(target, cmdlet)
        for sip in users:
            home = self._site.test_users.get(sip.lower())
            if home is None:
                turn.pause("synthetic")
                reason = "ErrorCode=1003,source=" + target + ",Reason=User does not exist"
                self._result(turn, target, error="404, Not Found", diagnosis=reason)
                return
            if not self._signs_in(place, home):
                turn.pause("synthetic_timeout")
                reason = f"ErrorCode=2,source={target},Reason=Registrar of pool {home} did not answer"
                self._result(turn, target, error="504, Server time-out", diagnosis=reason)
                return
        turn.pause("synthetic")
        self._result(turn, target)

    def _signs_in(self, at: Place, home: str) -> bool:
        """At `at`, a user homed on `home` is served there, or sent on to the home pool if that serves them."""
        places = [at] + [p for p in self._site.world.places if p.pool == home and p != at]
        if not self._answers(at):
            return False
        return any(self._registers(place, home) for place in places)

    def _answers(self, place: Place) -> bool:
        if place == self._site.place:
            return self._site.services["RTCSRV"] == "Running"
        try:
            self._site.link.ask("alive")
        except Silent:
            return False
        return True

    def _registers(self, place: Place, home: str) -> bool:
        if place == self._site.place:
            return self._site.registers(home)
        try:
            return bool(self._site.link.ask("register", pool=home)["registers"])
        except Silent:
            return False

    def _web_page(self, turn: Turn, bound: Bound, cmdlet: str) -> None:
        target = bound["TargetFqdn"].lower()
        if self._site.world.of_pool(target) is None:
            raise texts.no_cluster(target, cmdlet)
        uri = str(bound.get("TargetUri") or f"https://meet.{DOMAIN}/")
        try:
            addresses = self._resolve(urlsplit(uri).hostname or "")
        except OSError as problem:
            turn.pause("synthetic_timeout")
            self._result(turn, target, uri=uri, error=f"The remote name could not be resolved: {problem}")
            return
        place = self._site.world.of_address(addresses[0]) if addresses else None
        if place is None or not self._answers(place):
            turn.pause("synthetic_timeout")
            shown = ", ".join(addresses) or "no address"
            self._result(turn, target, uri=uri, error=f"Unable to connect to the remote server ({shown}).")
            return
        turn.pause("synthetic")
        self._result(turn, target, uri=uri)

    def _result(self, turn: Turn, target: str, error: str = "", diagnosis: str = "", uri: str = "") -> None:
        row = {
            "TargetFqdn": target,
            "Result": "Failure" if error else "Success",
            "Latency": timedelta() if error else timedelta(seconds=6, microseconds=863037),
            "Error": error,
            "Diagnosis": diagnosis,
        }
        turn.output({**row, "TargetUri": uri} if uri else row)
