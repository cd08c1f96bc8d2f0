"""What the door promises, against WinRM over TLS and, for the contract, against the scripted twin as well."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.workers.remote.mini_winrm import MiniWinRm, Speak, Spoil, make_certificates
from workers.remote.door import CannotTell, Deadline, Done, Frame, RedText, Refused, Remote, RunId, Unknown, ignore
from workers.remote.scripted import Play, ScriptedRemote
from workers.remote.winrm_remote import Endpoint, Patience, WinRmRemote

RUN = RunId("20261122-fe1-a", "pool", 1)
HOST = "fe2.ocsguy.local"


@dataclass(frozen=True)
class Call:
    cmdlet: str
    params: tuple[tuple[str, Any], ...] = ()
    want: tuple[str, ...] = ()


FAILOVER = Call("Invoke-CsPoolFailOver", (("PoolFqdn", "fe1.ocsguy.local"), ("DisasterMode", True), ("Confirm", False)))
STATE = Call("Get-CsRegistrarConfiguration", (), ("Identity", "PoolState"))
USERS = Call("Get-CsUser", (("Filter", "RegistrarPool -eq 'fe1'"),), ("@count",))

PLAYS = {
    "Invoke-CsPoolFailOver": Play(verbose=["hydrate 4 of 6"], warnings=["slow ✓"], ms=1500),
    "Get-CsRegistrarConfiguration": Play(rows=[{"Identity": "Global", "PoolState": "Active"}, {"Identity": "x"}]),
    "Get-CsUser": Play(count=4212),
    "Get-CsBroken": Play(errors=[{"message": "no\x1b[31m way", "fqid": "A,B"}], rows=[{}], terminated=True),
}


def speak(far: Any, payload: dict[str, Any], command: Any) -> None:
    """The runner, played: the same plays as the twin has."""
    command.emit(far.hello())
    for call in payload["calls"]:
        play = PLAYS[call["cmdlet"]]
        wanted = Call(call["cmdlet"], (), tuple(call["want"]))
        command.emit(far.says(call["id"], wanted, play), b"#< CLIXML\r\n")
        command.emit(b"noise without end" + far.result(call["id"], play))
    command.emit(far.bye())
    command.end()


@contextmanager
def winrm(
    tmp_path: Path, speak: Speak = speak, spoil: Spoil = lambda a: None, patience: Patience | None = None, **other: Any
) -> Iterator[tuple[WinRmRemote, MiniWinRm]]:
    with MiniWinRm(tmp_path, speak, spoil) as mini:
        endpoint = Endpoint(HOST, mini.url, "basic", "svc", mini.password, mini.ca)
        remote = WinRmRemote({HOST: replace(endpoint, **other)}, patience=patience)
        yield remote, mini
        remote.settle()


@pytest.fixture(params=["scripted", "winrm"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    if request.param == "scripted":
        yield ScriptedRemote(lambda host, call: PLAYS[call.cmdlet])
        return
    with winrm(tmp_path) as (real, _):
        yield real


def test_one_call_streams_and_ends(remote: Remote) -> None:
    frames: list[Frame] = []
    answer = remote.run(HOST, FAILOVER, RUN, Deadline.after(10), frames.append)
    assert answer == Done((), 0, 1500, ("slow ✓",))
    assert [(f.kind, f.text) for f in frames if f.kind in ("verbose", "warning")] == [
        ("verbose", "hydrate 4 of 6"),
        ("warning", "slow ✓"),
    ]
    assert isinstance(remote.trace(HOST, RUN), CannotTell)


def test_looks_of_one_host_share_one_start_and_keep_their_order(remote: Remote) -> None:
    broken = Call("Get-CsBroken", (), ("X",))
    state, users, red = remote.run_many(HOST, (STATE, USERS, broken), RUN, Deadline.after(10))
    assert isinstance(state, Done)
    assert state.rows == ({"Identity": "Global", "PoolState": "Active"}, {"Identity": "x"})
    assert isinstance(users, Done)
    assert (users.count, users.rows) == (4212, ())
    assert isinstance(red, RedText)
    assert (red.red[0].text, red.red[0].fqid, red.terminated, red.rows) == ("no way", "A,B", True, ({},))
    assert remote.run_many(HOST, (), RUN, Deadline.after(1)) == ()


def test_what_the_runner_cannot_carry_is_refused(remote: Remote) -> None:
    for call in (Call("rm"), Call("Get-X", (("a b", 1),)), Call("Get-X", (("A", 1.5),)), Call("Get-X", (), ("a()",))):
        answer = remote.run(HOST, call, RUN, Deadline.after(5), ignore)
        assert isinstance(answer, Refused)
        assert answer.reason == "configuration"


def test_a_call_that_was_taken_away_is_not_sent(remote: Remote) -> None:
    answer = remote.run(HOST, FAILOVER, RUN, Deadline.after(10), ignore, lambda: "Another hand has it.")
    assert answer == Refused("Another hand has it. Nothing was run.", "taken away")


def test_whose_call_it_is_is_asked_when_everything_but_the_last_byte_is_ready(tmp_path: Path) -> None:
    heard: list[str] = []
    with winrm(tmp_path) as (remote, mini):

        def gone() -> str:
            heard.extend(mini.heard)
            return "The lease ran out."

        assert isinstance(remote.run(HOST, FAILOVER, RUN, Deadline.after(10), ignore, gone), Refused)
        remote.settle()
        assert heard[-2:] == ["Create", "Command"]
        assert (mini.payloads, mini.shells) == ([], set())


def test_the_order_travels_as_it_is_written(tmp_path: Path) -> None:
    with winrm(tmp_path) as (remote, mini):
        remote.run(HOST, FAILOVER, RUN, Deadline.after(10), ignore)
        remote.run(HOST, STATE, RUN, Deadline.after(10), ignore)
        remote.settle()
        assert mini.payloads[0]["calls"] == [
            {
                "id": "1",
                "cmdlet": "Invoke-CsPoolFailOver",
                "params": [["PoolFqdn", "fe1.ocsguy.local"], ["DisasterMode", True], ["Confirm", False]],
                "want": [],
            }
        ]
        assert mini.payloads[0]["run"] == "20261122-fe1-a/pool/1"
        assert mini.shells == set()
        assert mini.connections <= 2


def test_a_client_certificate_instead_of_a_password(tmp_path: Path) -> None:
    with MiniWinRm(tmp_path, speak) as mini:
        endpoint = Endpoint(
            HOST, mini.url, "certificate", ca_file=mini.ca, cert_pem=mini.chain, cert_key_pem=mini.chain
        )
        remote = WinRmRemote({HOST: endpoint})
        assert isinstance(remote.run(HOST, STATE, RUN, Deadline.after(10), ignore), Done)
        remote.settle()


def spoiled_once(action: str, how: str | int) -> Spoil:
    left = [how]
    return lambda heard: left.pop() if heard == action and left else None


@pytest.mark.parametrize(
    ("action", "how", "expected", "words"),
    [
        ("Create", "drop", Refused, "broke the connection off"),
        ("Create", 401, Refused, "turned the account svc away"),
        ("Create", 2150859173, Refused, "too many shells"),
        ("Create", 5, Refused, "denied access"),
        ("Command", "drop-after", Refused, "Nothing was run"),
        ("Send", 401, Refused, "turned the account svc away"),
        ("Send", "drop-after", Unknown, "Whether it began is not known"),
        ("Receive", "drop", Done, ""),
        ("Receive", 2150858793, Done, ""),
        ("Receive", 2150858843, Unknown, "no longer knows"),
    ],
)
def test_a_fault_at_each_place_says_what_is_certain(
    tmp_path: Path, action: str, how: str | int, expected: type, words: str
) -> None:
    with winrm(tmp_path, spoil=spoiled_once(action, how)) as (remote, mini):
        answer = remote.run(HOST, STATE, RUN, Deadline.after(10), ignore)
        assert isinstance(answer, expected), answer
        assert words in answer.sentence
        assert mini.password not in repr(answer)
        if expected is Refused:
            assert mini.payloads == []


def test_a_line_that_stays_broken_is_unknown_and_the_shell_is_left_alone(tmp_path: Path) -> None:
    def stays(far: Any, payload: Any, command: Any) -> None:
        command.emit(far.hello())

    with winrm(tmp_path, stays, lambda a: "drop" if a == "Receive" else None, Patience(reattach_s=1)) as (remote, mini):
        frames: list[Frame] = []
        answer = remote.run(HOST, FAILOVER, RUN, Deadline.after(20), frames.append)
        assert any(f.kind == "tick" and "trying again" in f.text for f in frames)
        assert isinstance(answer, Unknown)
        assert "Whether it began is not known" in answer.sentence
        remote.settle()
        assert mini.shells
        assert "Signal" not in mini.heard


def test_at_the_deadline_a_run_is_left_alone_and_a_look_is_ended(tmp_path: Path) -> None:
    def slow(far: Any, payload: Any, command: Any) -> None:
        command.emit(far.hello())
        command.emit(far.says("1", STATE, PLAYS[STATE.cmdlet]) + far.result("1", PLAYS[STATE.cmdlet]))

    with winrm(tmp_path, slow) as (remote, mini):
        frames: list[Frame] = []
        first, second = remote.run_many(HOST, (STATE, USERS), RUN, Deadline.after(1.5), frames.append)
        assert isinstance(first, Done)
        assert first.rows
        assert isinstance(second, Unknown)
        assert second.began
        remote.settle(5)
        assert mini.shells == set()
        answer = remote.run(HOST, FAILOVER, RUN, Deadline.after(1.5), frames.append)
        assert isinstance(answer, Unknown)
        assert answer.sentence == f"{HOST} had not finished after 1.5 s. It may still be working."
        remote.settle(5)
        assert mini.shells
        assert mini.heard.count("Signal") == 1


def test_a_caller_who_leaves_leaves_the_cmdlet_alone(tmp_path: Path) -> None:
    class Fenced(Exception):
        pass

    def fence(frame: Frame) -> None:
        if frame.kind == "verbose":
            raise Fenced

    def stays(far: Any, payload: Any, command: Any) -> None:
        command.emit(far.hello() + far.says("1", FAILOVER, PLAYS["Invoke-CsPoolFailOver"]))

    with winrm(tmp_path, stays, patience=Patience(poll_s=1)) as (remote, mini):
        with pytest.raises(Fenced):
            remote.run(HOST, FAILOVER, RUN, Deadline.after(10), fence)
        remote.settle(4)
        assert mini.shells
        assert not {"Signal", "Delete"} & set(mini.heard)


def cut_hash(far: Any, payload: Any, command: Any) -> None:
    command.emit(far.hello())
    far.says("1", STATE, Play(verbose=["lost on the way"]))
    command.emit(far.result("1", Play()) + far.bye())
    command.end()


def no_bye(far: Any, payload: Any, command: Any) -> None:
    command.emit(far.hello(), b'#< CLIXML\r\n<Objs><S S="Error">Out of memory._x000D__x000A_</S></Objs>')
    command.end()


def two_of_three_rows(far: Any, payload: Any, command: Any) -> None:
    command.emit(far.hello() + far.says("1", STATE, Play(rows=[{}, {}])) + far.result("1", Play(count=3)) + far.bye())
    command.end()


def locked_down(far: Any, payload: Any, command: Any) -> None:
    command.emit(
        err=b'#< CLIXML\r\n<Objs Version="1.1.0.1"><S S="Error">Only signed scripts run here._x000D__x000A_</S>'
    )
    command.end()


def damaged(far: Any, payload: Any, command: Any) -> None:
    command.emit(f"@@{payload['nonce']} refused e30\r\n".encode())
    command.end()


@pytest.mark.parametrize(
    ("how", "expected", "words"),
    [
        (cut_hash, Unknown, "lines arrived"),
        (no_bye, Unknown, "the end is missing"),
        (two_of_three_rows, Unknown, "do not add up"),
        (locked_down, Refused, 'It said: "Only signed scripts run here."'),
        (damaged, Refused, "damaged"),
    ],
)
def test_an_answer_counts_only_when_it_is_whole(tmp_path: Path, how: Speak, expected: type, words: str) -> None:
    with winrm(tmp_path, how) as (remote, _):
        answer = remote.run(HOST, STATE, RUN, Deadline.after(10), ignore)
        assert isinstance(answer, expected), answer
        assert words in answer.sentence
        if how is no_bye:
            assert isinstance(answer, Unknown)
            assert [red.message for red in answer.red] == ["Out of memory."]


def test_a_secret_in_the_output_does_not_come_through(tmp_path: Path) -> None:
    def tells(far: Any, payload: Any, command: Any) -> None:
        secret = "Pl@nted-Secret-77"
        play = Play(verbose=[f"using {secret}"], errors=[f"login {secret} failed"], rows=[{"Identity": secret}])
        command.emit(f"net use {secret}\n".encode() + far.hello() + far.says("1", STATE, play))
        command.emit(far.result("1", play) + far.bye())
        command.end()

    with winrm(tmp_path, tells) as (remote, mini):
        frames: list[Frame] = []
        answer = remote.run(HOST, STATE, RUN, Deadline.after(10), frames.append)
        assert isinstance(answer, RedText)
        assert mini.password not in f"{answer!r} {frames!r} {remote._endpoints!r}"
        assert "login [removed] failed" in answer.sentence


def test_hosts_that_cannot_be_reached(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other_ca, _ = make_certificates(tmp_path / "other")
    with MiniWinRm(tmp_path, speak) as mini, socket.socket() as mute, socket.socket() as closed:
        mute.bind(("127.0.0.1", 0))
        mute.listen(8)
        closed.bind(("127.0.0.1", 0))
        good = Endpoint(HOST, mini.url, "basic", "svc", mini.password, mini.ca)
        cases = {
            "not accepted": replace(good, ca_file=other_ca),
            "turned the account svc away": replace(good, password="wrong-but-secret"),
            "fell silent": replace(good, url=f"https://127.0.0.1:{mute.getsockname()[1]}/wsman"),
            "refuses connections": replace(good, url=f"https://127.0.0.1:{closed.getsockname()[1]}/wsman"),
            "not https": replace(good, url=mini.url.replace("https", "http")),
            "missing or cannot be read": replace(good, ca_file=str(tmp_path / "nowhere.pem")),
            "no account or no password": replace(good, password=""),
            "cannot be resolved": replace(good, url="https://nowhere.invalid:5986/wsman"),
        }
        for words, endpoint in cases.items():
            remote = WinRmRemote({HOST: endpoint}, patience=Patience(connect_s=1))
            began = time.monotonic()
            answer = remote.run(HOST, FAILOVER, RUN, Deadline.after(10), ignore)
            assert isinstance(answer, Refused), (words, answer)
            assert words in answer.sentence
            assert "Nothing was run" in answer.sentence
            assert "secret" not in answer.sentence.replace("Nothing secret", "")
            assert time.monotonic() - began < 4
        assert mini.payloads == []


def test_an_unknown_host_is_refused_with_its_name() -> None:
    answer = WinRmRemote({}).run(HOST, STATE, RUN, Deadline.after(1), ignore)
    assert isinstance(answer, Refused)
    assert answer.sentence.startswith(f"{HOST} is not in the endpoints file")
