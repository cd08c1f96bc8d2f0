"""The real servers, over WinRM: the only module that knows pywinrm.

How a run goes: open a shell, start `powershell.exe` with the bootstrap, send the runner and the payload, receive until
the command is over (`docs/runner-protocol.md` §1). Three things shape this file:

- pywinrm has no overall time limit and lets exceptions of half a dozen packages through. The conversation with a server
  therefore runs in a thread of its own, and the caller waits on a queue: whatever hangs (a name server, a handshake, a
  reply), the caller is back at its deadline.
- *Nothing was run* is certain until the last byte of standard input has left: the bootstrap checks length and hash of
  the whole before it runs anything. Everything that fails earlier is `Refused`, everything later `Unknown`.
- An NTLM or CredSSP session belongs to its connection, and a `Protocol` may be unusable after any transport error. It
  is thrown away then; a new one takes over the same shell and command.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from winrm.exceptions import WinRMOperationTimeoutError, WSManFaultError
from winrm.protocol import Protocol as WinRmProtocol

from workers.redact import Redactor
from workers.remote.door import (
    Answer,
    CallLike,
    CannotTell,
    Deadline,
    Frame,
    OnFrame,
    Refused,
    RunId,
    StillMine,
    Trace,
    ignore,
    nobody_else,
)
from workers.remote.gather import Gathering
from workers.remote.launch import COMMAND, CannotBeSent, Launch, prepare
from workers.remote.trouble import GONE, Trouble, trouble_of

Transport = Literal["ntlm", "kerberos", "credssp", "certificate", "basic"]

SEND_BYTES = 49_152
"""Raw bytes of one Send: well below the 150 KiB envelope that old servers allow."""

TICK_S = 2.0
"""Longest silence towards the caller, in seconds."""

WARM_S = 60.0
"""A connection that was idle longer is not used again: the server or a firewall may have forgotten it."""

T = TypeVar("T")


@dataclass(frozen=True)
class Endpoint:
    """Where and how one host is reached. Secrets are not shown in its `repr`.

    `ca_file` pins the authority that must have signed the server's certificate; without it the usual public ones count.
    `username` is `DOMAIN\\\\user` or `user@domain`. For `kerberos` a ticket must be there already. For `certificate`,
    `cert_pem` and `cert_key_pem` are the files of the client certificate and its key.
    """

    host: str
    url: str
    transport: Transport = "ntlm"
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str | None = None
    cert_pem: str | None = None
    cert_key_pem: str | None = None
    kerberos_host: str | None = None
    kerberos_delegation: bool = False


class HostSettings(Protocol):
    """How one host is reached, as the endpoints file says it."""

    @property
    def url(self) -> str: ...
    @property
    def transport(self) -> Transport: ...
    @property
    def credential(self) -> str | None: ...
    @property
    def ca(self) -> str | None: ...
    @property
    def server_name(self) -> str | None: ...
    @property
    def delegate(self) -> bool: ...
    @property
    def client_cert(self) -> str | None: ...
    @property
    def client_key(self) -> str | None: ...


def endpoints_of(hosts: Mapping[str, HostSettings], account: Callable[[str], tuple[str, str]]) -> dict[str, Endpoint]:
    """Endpoints for the hosts of the endpoints file. `account` gives user name and password for a credential's name;
    it is asked here, once, so that a missing secret is known at the start and not in the middle of a run."""
    made: dict[str, Endpoint] = {}
    for host, settings in hosts.items():
        username, password = account(settings.credential) if settings.credential else ("", "")
        made[host] = Endpoint(
            host=host,
            url=settings.url,
            transport=settings.transport,
            username=username,
            password=password,
            ca_file=settings.ca,
            cert_pem=settings.client_cert,
            cert_key_pem=settings.client_key,
            kerberos_host=settings.server_name,
            kerberos_delegation=settings.delegate,
        )
    return made


@dataclass(frozen=True)
class Patience:
    """How long single steps of a conversation may take, in seconds."""

    connect_s: float = 4.0
    """To reach the host and finish the TLS handshake. A dead host is known after this."""
    open_s: float = 30.0
    """To log on and open a shell: a freshly started server is slow."""
    poll_s: int = 5
    """The server holds a request for output this long at most. Its silence is noticed after twice that."""
    reattach_s: float = 15.0
    """How long a broken line is tried again before the run is called unknown."""


class WinRmRemote:
    """A :class:`workers.remote.door.Remote` for Windows servers. May be used by several threads at once."""

    def __init__(
        self, endpoints: Mapping[str, Endpoint], redactor: Redactor | None = None, patience: Patience | None = None
    ) -> None:
        self._endpoints = dict(endpoints)
        self._redactor = redactor or Redactor(e.password for e in endpoints.values() if e.password)
        self._patience = patience or Patience()
        self._lines = _Lines(self._patience)

    def run(
        self,
        host: str,
        call: CallLike,
        run: RunId,
        deadline: Deadline,
        on_frame: OnFrame,
        still_mine: StillMine = nobody_else,
    ) -> Answer:
        """See :meth:`workers.remote.door.Remote.run`."""
        return self._converse(host, (call,), run, deadline, on_frame, still_mine, looks=False)[0]

    def run_many(
        self, host: str, calls: Sequence[CallLike], run: RunId, deadline: Deadline, on_frame: OnFrame = ignore
    ) -> tuple[Answer, ...]:
        """See :meth:`workers.remote.door.Remote.run_many`."""
        calls = tuple(calls)
        return self._converse(host, calls, run, deadline, on_frame, nobody_else, looks=True) if calls else ()

    def trace(self, host: str, run: RunId) -> Trace:
        """Run inline, a server keeps nothing that could be asked later."""
        return CannotTell(f"{host} runs commands inline and keeps no trace of {run}.")

    def settle(self, timeout_s: float = 2.0) -> None:
        """Gives shells that are being closed in the background that much time. Call it before the process ends."""
        self._lines.settle(timeout_s)

    def _converse(
        self,
        host: str,
        calls: Sequence[CallLike],
        run: RunId,
        deadline: Deadline,
        on_frame: OnFrame,
        still_mine: StillMine,
        *,
        looks: bool,
    ) -> tuple[Answer, ...]:
        try:
            endpoint = self._endpoint(host)
            launch = prepare(run, calls)
        except CannotBeSent as error:
            return tuple(Refused(f"{error} Nothing was run.", "configuration") for _ in calls)
        if looks:
            # What has come by then is handed over within the caller's budget, not just after it.
            deadline = Deadline(deadline.at - min(0.3, deadline.limit_s / 20), deadline.limit_s)
        gathering = Gathering(host, launch.nonce, calls, self._redactor, looks=looks)
        talk = _Talk(endpoint, launch, deadline, self._patience, self._lines, still_mine, looks=looks)
        talk.start()
        try:
            return _listen(talk, gathering, host, calls, deadline, on_frame)
        except BaseException:
            # The caller has lost its right or its interest. The cmdlet is not touched: half done is worse.
            talk.abandon()
            raise

    def _endpoint(self, host: str) -> Endpoint:
        endpoint = self._endpoints.get(host)
        if endpoint is None:
            raise CannotBeSent(f"{host} is not in the endpoints file, so nobody knows how to reach it.")
        _check(endpoint)
        return endpoint


def _check(endpoint: Endpoint) -> None:
    """Says what pywinrm would find out later and less clearly."""
    host = endpoint.host
    if urlsplit(endpoint.url).scheme != "https":
        raise CannotBeSent(f"The endpoint of {host} is not https, and nothing is sent over an open line.")
    if endpoint.transport in ("ntlm", "credssp", "basic") and not (endpoint.username and endpoint.password):
        raise CannotBeSent(f"The endpoint of {host} uses {endpoint.transport} but has no account or no password.")
    if endpoint.transport == "certificate" and not (endpoint.cert_pem and endpoint.cert_key_pem):
        raise CannotBeSent(f"The endpoint of {host} uses a client certificate but names no certificate or no key.")
    for name in (endpoint.ca_file, endpoint.cert_pem, endpoint.cert_key_pem):
        if name and not os.access(name, os.R_OK):
            raise CannotBeSent(f"The endpoint of {host} names {name}, which is missing or cannot be read.")


def _listen(
    talk: _Talk, gathering: Gathering, host: str, calls: Sequence[CallLike], deadline: Deadline, on_frame: OnFrame
) -> tuple[Answer, ...]:
    """Hands on what the conversation brings until it is over or the deadline is."""
    while True:
        try:
            news = talk.news.get(timeout=min(TICK_S, deadline.left()) or 0.001)
        except queue.Empty:
            if deadline.over:
                return _out_of_time(talk, gathering, host, calls, deadline)
            on_frame(Frame("tick"))
            continue
        if isinstance(news, _Output):
            gathering.stderr(news.stderr)
            for frame in gathering.stdout(news.stdout):
                on_frame(frame)
            if deadline.over:
                return _out_of_time(talk, gathering, host, calls, deadline)
        elif isinstance(news, _Faltered):
            on_frame(Frame("tick", f"{host} {news.trouble.what}; trying again. The command may still be running."))
        elif isinstance(news, _Ended):
            frames, answers = gathering.ended(news.exit_code)
            for frame in frames:
                on_frame(frame)
            return answers
        elif isinstance(news, _TakenAway):
            return tuple(Refused(f"{news.why} Nothing was run.", "taken away") for _ in calls)
        elif news.sent:
            return gathering.broke_off(news.trouble.unknown(host, gathering.began), news.trouble.unknown_reason)
        else:
            return tuple(news.trouble.refused(host) for _ in calls)


def _out_of_time(
    talk: _Talk, gathering: Gathering, host: str, calls: Sequence[CallLike], deadline: Deadline
) -> tuple[Answer, ...]:
    if not talk.withdraw():
        what = "It may still be working." if gathering.began else f"Whether {host} has begun is not known."
        return gathering.broke_off(f"{host} had not finished after {deadline.limit_s:g} s. {what}", "time")
    sentence = f"{host} could not be asked within {deadline.limit_s:g} s. Nothing was run."
    return tuple(Refused(sentence, "unreachable") for _ in calls)


@dataclass(frozen=True)
class _Output:
    """What one Receive brought."""

    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class _Faltered:
    """The line broke while the command was running; it is being tried again."""

    trouble: Trouble


@dataclass(frozen=True)
class _Ended:
    """The command is over."""

    exit_code: int


@dataclass(frozen=True)
class _Failed:
    """The conversation is over. `sent`: the whole of standard input may have reached the server."""

    trouble: Trouble
    sent: bool


@dataclass(frozen=True)
class _TakenAway:
    """The call was not this caller's any more when its last byte was due. It was not sent whole and never will be."""

    why: str


class _Talk(threading.Thread):
    """One conversation with one server, in a thread of its own. Everything it has to say goes into `news`."""

    def __init__(
        self,
        endpoint: Endpoint,
        launch: Launch,
        deadline: Deadline,
        patience: Patience,
        lines: _Lines,
        still_mine: StillMine,
        *,
        looks: bool,
    ) -> None:
        super().__init__(name=f"winrm {endpoint.host}", daemon=True)
        self.news: queue.SimpleQueue[_Output | _Faltered | _Ended | _Failed | _TakenAway] = queue.SimpleQueue()
        self._endpoint = endpoint
        self._launch = launch
        self._deadline = deadline
        self._patience = patience
        self._lines = lines
        self._still_mine = still_mine
        self._looks = looks
        self._abandoned = threading.Event()
        self._gate = threading.Lock()
        self._sent = False
        self._ended = False
        self._withdrawn = False

    def abandon(self) -> None:
        """Nobody listens any more: stop talking, and leave shell and command as they are."""
        self._abandoned.set()

    def withdraw(self) -> bool:
        """Takes the order back. True: it had not been sent whole, and now never will be."""
        with self._gate:
            self._withdrawn = not self._sent
            return self._withdrawn

    def run(self) -> None:
        """The conversation from the first byte to the last."""
        line: _Line | None = None
        shell = ""
        try:
            line, shell = self._open()
            command = self._start(line, shell)
            line = self._receive(line, shell, command)
        except _Leave:
            pass
        except Exception as error:  # every package below raises its own; trouble_of sorts them
            self.news.put(_Failed(trouble_of(error, self._endpoint), self._sent))
            line = self._lines.fresh(self._endpoint) if shell else None
        self._close(line, shell)

    def _open(self) -> tuple[_Line, str]:
        line = self._lines.take(self._endpoint)
        seconds = min(self._patience.open_s, self._deadline.left())

        def open_shell(line: _Line, seconds: float) -> str:
            idle = "PT120S" if self._looks else "PT1800S"
            return line.ask(seconds, lambda p: p.open_shell(noprofile=True, codepage=65001, idle_timeout=idle))

        if line.used:
            # The server may have closed an idle connection at this moment, or be dead behind it: soon find out with a
            # new one. Nothing is running yet, so once more is safe.
            try:
                return line, open_shell(line, min(seconds, self._patience.connect_s + 1))
            except Exception:
                line.close()
                line = self._lines.fresh(self._endpoint)
        return line, open_shell(line, seconds)

    def _start(self, line: _Line, shell: str) -> str:
        seconds = min(self._patience.open_s, self._deadline.left())
        command = line.ask(
            seconds,
            lambda p: p.run_command(shell, COMMAND, self._launch.arguments, console_mode_stdin=False),
        )
        stdin = self._launch.stdin
        for at in range(0, len(stdin), SEND_BYTES):
            piece, last = stdin[at : at + SEND_BYTES], at + SEND_BYTES >= len(stdin)
            if last:
                if why := self._still_mine():
                    self.news.put(_TakenAway(why))
                    raise _Leave
                with self._gate:
                    if self._withdrawn or self._abandoned.is_set():
                        raise _Leave
                    self._sent = True
            try:
                line.ask(seconds, partial(_send, shell, command, piece, last))
            except Exception as error:
                if trouble_of(error, self._endpoint).before_sending:
                    self._sent = False
                raise
        return command

    def _receive(self, line: _Line, shell: str, command: str) -> _Line:
        """Receives until the command is over; over a broken line with a new one, for a while."""
        broken_since: float | None = None
        while not self._abandoned.is_set() and not self._deadline.over:
            poll = max(1, min(self._patience.poll_s, int(self._deadline.left()) or 1))
            try:
                out, err, code, done = line.ask(
                    poll * 2.0, lambda p: p.get_command_output_raw(shell, command), hold_s=poll
                )
            except WinRMOperationTimeoutError:
                broken_since = None
                continue
            except Exception as error:
                now = time.monotonic()
                broken_since = broken_since or now
                gone = isinstance(error, WSManFaultError) and error.wsman_fault_code == GONE
                if gone or now - broken_since >= self._patience.reattach_s:
                    raise
                self.news.put(_Faltered(trouble_of(error, self._endpoint)))
                self._abandoned.wait(0.5)
                line = self._lines.fresh(self._endpoint)
                continue
            broken_since = None
            if out or err:
                self.news.put(_Output(out, err))
            if done:
                self._ended = True
                self.news.put(_Ended(code))
                return line
        if self._abandoned.is_set() or not self._looks:
            raise _Leave
        line.ask(2.0, lambda p: p.cleanup_command(shell, command))
        return line

    def _close(self, line: _Line | None, shell: str) -> None:
        """Closes the shell, unless a cmdlet that changes something may be running in it: that would be ended half done.
        Best effort: a shell left open ends by itself when idle."""
        if line is None:
            return
        try:
            if shell and (self._ended or self._looks or not self._sent):
                line.ask(5.0, lambda p: p.close_shell(shell, close_session=False))
            self._lines.give_back(line)
        except Exception:
            line.close()


def _send(shell: str, command: str, piece: bytes, last: bool, protocol: WinRmProtocol) -> None:
    protocol.send_command_input(shell, command, piece, end=last)


class _Leave(Exception):
    """Stop talking and touch nothing."""


class _Line:
    """One pywinrm `Protocol` with its connection: used by one thread at a time, thrown away after any error."""

    def __init__(self, endpoint: Endpoint, patience: Patience) -> None:
        self.host = endpoint.host
        self.used = False
        self.idle_since = time.monotonic()
        self._connect_s = patience.connect_s
        self._protocol = WinRmProtocol(
            endpoint=endpoint.url,
            transport=endpoint.transport,
            username=endpoint.username or None,
            password=endpoint.password if endpoint.transport not in ("kerberos", "certificate") else None,
            ca_trust_path=cast(str, endpoint.ca_file),  # None is allowed and means: no authority from the environment
            cert_pem=endpoint.cert_pem,
            cert_key_pem=endpoint.cert_key_pem,
            server_cert_validation="validate",
            kerberos_delegation=endpoint.kerberos_delegation,
            kerberos_hostname_override=endpoint.kerberos_host,
            # No proxy: a proxy variable on the worker host would send domain credentials to the proxy.
            proxy=None,
        )
        # Nor .netrc, nor certificate bundles from the environment.
        self._protocol.transport.build_session().trust_env = False

    def ask(self, seconds: float, message: Callable[[WinRmProtocol], T], *, hold_s: int | None = None) -> T:
        """Sends one message. The server may hold it for `hold_s`; after `seconds` its answer is given up."""
        seconds = max(1.0, seconds)
        self._protocol.operation_timeout_sec = hold_s or max(1, int(seconds) - 1)
        # requests takes a pair here: one limit for connecting, one for each wait for bytes.
        self._protocol.transport.read_timeout_sec = cast(int, (min(self._connect_s, seconds), seconds))
        answer = message(self._protocol)
        self.used = True
        self.idle_since = time.monotonic()
        return answer

    def close(self) -> None:
        """Closes the connection."""
        self._protocol.transport.close_session()


class _Lines:
    """Idle connections, kept for the next call to the same host: logging on costs more than the call."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._idle: list[_Line] = []
        self._pid = os.getpid()
        self._talks: list[threading.Thread] = []

    def take(self, endpoint: Endpoint) -> _Line:
        """An idle connection to the host, else a new one. Registers the calling thread for :meth:`settle`."""
        with self._lock:
            if self._pid != os.getpid():  # forked: the connections belong to the parent
                self._idle, self._talks, self._pid = [], [], os.getpid()
            self._talks = [t for t in self._talks if t.is_alive()] + [threading.current_thread()]
            fresh_enough = time.monotonic() - WARM_S
            self._idle = [line for line in self._idle if line.idle_since > fresh_enough]
            for line in self._idle:
                if line.host == endpoint.host:
                    self._idle.remove(line)
                    return line
        return self.fresh(endpoint)

    def fresh(self, endpoint: Endpoint) -> _Line:
        """A new connection, made when the first message is sent."""
        return _Line(endpoint, self._patience)

    def give_back(self, line: _Line) -> None:
        """The connection is in good order and may be used again."""
        with self._lock:
            self._idle.append(line)

    def settle(self, timeout_s: float) -> None:
        """Waits for conversations that are closing their shells, then closes what is idle."""
        until = time.monotonic() + timeout_s
        with self._lock:
            talks, idle = list(self._talks), list(self._idle)
            self._idle = []
        for talk in talks:
            talk.join(max(0.0, until - time.monotonic()))
        for line in idle:
            line.close()
