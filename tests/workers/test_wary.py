"""A wrong password locks no account: looks, samples and read-backs hold back; a right one is tried at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from playbooks.facts import scp_look
from tests.waiting import wait_for
from tests.workers.house import House, house
from tests.workers.world import ACT1, FE2, NoPlaces, Sites, World
from workers.advance import advance
from workers.looking import Looker
from workers.remote.door import Refused, RunId
from workers.remote.scripted import ScriptedRemote
from workers.remote.wary import FIRST_PAUSE_S, LONGEST_PAUSE_S, Book, Wary, seal_of
from workers.results import WaitingForPerson

WRONG = "OCSGUY\\svc-lync-dr:planted-wr0ng-passw0rd\n"


def refused_logons(home: House) -> dict[str, int]:
    """Logons that each of the living hosts turned away, by its own book."""
    logs = {name: home.sites.members[name].ask("/log") for name in ("leeds", "dns2")}
    return {name: sum(line["literal"] == "logon" for line in log) for name, log in logs.items()}


def test_one_wrong_password_is_one_refused_logon_a_host_whoever_looks(tmp_path: Path, store: str) -> None:
    with house(tmp_path, store) as home:
        credential = tmp_path / "wrong.credential"
        credential.write_text(WRONG)
        credential.chmod(0o600)
        right = Path(home.env["LYNC_DR_CREDENTIAL_LYNC_FILE"]).read_text()
        home.start("look", LYNC_DR_CREDENTIAL_LYNC_FILE=str(credential))
        home.pull_the_plug()
        home.declared()
        home.survey()
        assert home.state.hard_stop is not None
        assert home.state.hard_stop.why == "partner-mute"
        first = refused_logons(home)
        assert first["leeds"] == 1
        for number in range(3):
            key = f"again-{number}"
            home.bell.ring_look_now(key, {"kind": "plan", "pool": "fe1"})
            said = wait_for(lambda key=key: home.bell.wait_answer(key, 1), "an answer", 40)  # type: ignore[misc]
            assert not said["ok"]
        assert "asked less often now" in str(said["readings"])
        home.bell.ring_sample()
        wait_for(home.bell.kept_samples, "a sample", 30)
        assert refused_logons(home) == first
        # Whoever mends the password is not kept waiting.
        credential.write_text(right)
        home.bell.ring_look_now("mended", {"kind": "plan", "pool": "fe1"})
        said = wait_for(lambda: home.bell.wait_answer("mended", 1), "an answer", 40)
        assert said["ok"], said
        assert refused_logons(home) == first
        # The book tells nobody a password.
        book = (tmp_path / "state" / "denied" / "look.json").read_text()
        assert "passw0rd" not in book
        assert right.strip().rpartition(":")[2] not in book


@dataclass
class Told:
    """A clock that is told the time, in seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class Doorkeeper(ScriptedRemote):
    """Servers that turn the account away until they are opened, and count."""

    asked = 0
    open = False

    def run(self, host: str, *given: Any) -> Any:
        self.asked += 1
        return super().run(host, *given) if self.open else Refused(f"{host} turned the account away.", "credentials")

    def run_many(self, host: str, calls: Any, *given: Any) -> Any:
        self.asked += 1
        if self.open:
            return super().run_many(host, calls, *given)
        return tuple(Refused(f"{host} turned the account away.", "credentials") for _ in calls)


def test_the_pause_doubles_and_ends_with_the_first_logon_that_works(tmp_path: Path) -> None:
    clock, servers, book = Told(), Doorkeeper(Sites().play), tmp_path / "denied" / "look.json"
    look = scp_look(FE2)

    def answer(password: str = "a") -> Any:
        # Each time anew: every job is a process of its own.
        wary = Wary(servers, {FE2: seal_of(ACT1.sign, "svc", password)}, Book(book, clock))
        return Looker(wary, NoPlaces()).look([look], 5, RunId("now", "survey", 1)).get(look.id)

    assert answer().denied
    assert servers.asked == 1
    for pause in (FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S, 8 * FIRST_PAUSE_S, LONGEST_PAUSE_S,
                  LONGEST_PAUSE_S):  # fmt: skip
        clock.now += pause - 1
        asked = servers.asked
        held = answer()
        # Left alone is no refused logon: whoever counts those must not count it.
        assert (servers.asked, held.denied) == (asked, False)
        assert "asked less often now" in held.reason
        clock.now += 1
        assert answer().denied
        assert servers.asked == asked + 1
    asked = servers.asked
    assert answer("another password").denied
    assert servers.asked == asked + 1
    servers.open = True
    clock.now += FIRST_PAUSE_S
    assert answer("another password").kind == "call"
    servers.open = False
    assert answer("another password").denied
    clock.now += FIRST_PAUSE_S
    asked = servers.asked
    answer("another password")
    assert servers.asked == asked + 1, "the first pause again"


def test_a_run_with_a_wrong_password_logs_on_for_the_look_and_for_the_call_and_no_more(tmp_path: Path) -> None:
    world = World()
    world.approved()
    servers = Doorkeeper(world.sites.play)
    wary = Wary(servers, {FE2: seal_of(ACT1.sign, "svc", "a")}, Book(tmp_path / "act1.json"))

    def ring() -> Any:
        tools = world.tools(remote=wary, fresh_s=60.0)
        return advance(world.incident, replace(tools, looker=replace(tools.looker, remote=wary)))

    assert isinstance(ring(), WaitingForPerson)
    assert world.status("cms") == "failed"
    assert servers.asked == 2
    for _ in range(3):
        ring()
    assert servers.asked == 2
    # A person's word is one more logon, and no more.
    world.rule("bo", "retry", "cms")
    ring()
    assert (servers.asked, world.status("cms")) == (3, "failed")
    servers.open = True
    world.rule("bo", "retry", "cms", 2)
    ring()
    assert world.state.run_ended == "complete"


def test_a_call_that_may_be_repeated_is_not_where_the_account_was_turned_away(tmp_path: Path) -> None:
    world = World()
    world.approved()
    servers = Doorkeeper(world.sites.play)
    servers.open = True

    class ShutForEdge(Wary):
        def run(self, host: str, call: Any, *given: Any) -> Any:
            servers.open = call.cmdlet != "Set-CsEdgeServer"
            return super().run(host, call, *given)

    shut = ShutForEdge(servers, {}, Book(tmp_path / "act1.json"))
    tools = world.tools(remote=shut, fresh_s=60.0)
    assert isinstance(advance(world.incident, tools), WaitingForPerson)
    step = world.state.step("edge.edge1")
    assert step is not None
    assert (step.status, len(step.attempts)) == ("failed", 1)
