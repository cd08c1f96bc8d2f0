"""The HTTPS endpoint of one host: authentication, WS-Management messages, remote shells."""

from __future__ import annotations

import base64
import binascii
import socket
import ssl
import threading
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from practice.host.host import Host
from practice.host.listener import Listener
from practice.winrm.authentication import Account, Caller
from practice.winrm.messages import (
    ACTION_NOT_SUPPORTED,
    CMD,
    SCHEMA_VALIDATION,
    SHELL,
    TRANSFER,
    Request,
    WsmanFault,
    duration,
    envelope,
    fault_envelope,
    parse,
    timed_out,
)
from practice.winrm.powershell import execute
from practice.winrm.shells import Process, Shell, Shells

_RSP = f"{{{SHELL}}}"
_MAX_BODY = 512 * 1024  # MaxEnvelopeSizekb = 500 of a Windows server
_DEFAULT_IDLE_S = 7200.0
_ENVELOPE_OVERHEAD = 4096


class WinRM:
    """WinRM of one host on a loopback port."""

    def __init__(self, host: Host, account: Account, certificate: Path, key: Path, port: int = 0) -> None:
        self.host = host
        self.account = account
        self.shells = Shells()
        self.polls = 0  # long polls that wait right now
        host.cut = self.cut
        host.lose_shells = self.shells.delete_all
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate, key)
        self._listener = Listener(self._serve, port, f"winrm-{host.fqdn}", self._wrap)
        self.port = self._listener.port
        self.url = f"https://127.0.0.1:{self.port}/wsman"

    def _wrap(self, connection: socket.socket) -> socket.socket:
        # The handshake is left to the connection's own thread: a slow caller must not hold up the next.
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)

    def _serve(self, connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        boot = self.host.power.boot
        self.stay_mute_while_dark(boot)
        connection.settimeout(30)
        connection.do_handshake()
        connection.settimeout(None)
        _Connection(self, connection, boot)

    def start(self) -> None:
        self._listener.start()

    def silence(self) -> None:
        """The host lost its power: shells and what ran in them are gone, and nobody hears of it."""
        self._listener.silence()
        self.shells.delete_all()

    def resume(self) -> None:
        self._listener.resume()

    def cut(self) -> int:
        """Reset every connection; the shells live on, as on Windows."""
        return self._listener.cut()

    def close(self) -> None:
        self.shells.delete_all()
        self._listener.close()

    def stay_mute_while_dark(self, boot: int) -> None:
        """Hold the calling connection while the host is dark or told to be silent; drop it after a new boot."""
        while self.host.faults.lasting("winrm_silent") and not self.host.power.ended:
            self.host.faults.cleared.wait(0.1)
        if not self.host.power.up:
            self.host.power.wait_until_up()
        if self.host.power.ended or self.host.power.boot != boot:
            raise ConnectionResetError("the host went dark")

    # Messages

    def answer(self, request: Request, user: str, client: str) -> bytes:
        """The response to one authenticated request; raises `WsmanFault`."""
        short = request.action.rsplit("/", 1)[-1]
        fault = self.host.faults.strike("wsman", action=short)
        if fault:
            raise WsmanFault(fault.code, fault.message or "The WS-Management service refused the request.")
        handlers: Mapping[str, Any] = {
            f"{TRANSFER}/Create": self._create,
            f"{SHELL}/Command": self._command,
            f"{SHELL}/Send": self._send,
            f"{SHELL}/Receive": self._receive,
            f"{SHELL}/Signal": self._signal,
            f"{TRANSFER}/Delete": self._delete,
        }
        handler = handlers.get(request.action)
        if handler is None or (request.resource and not request.resource.startswith(SHELL)):
            raise WsmanFault(
                ACTION_NOT_SUPPORTED,
                "The WS-Management service cannot process the request because it does not support this action.",
                "a:ActionNotSupported",
            )
        if handler == self._create:
            body = self._create(request, user, client)
        else:
            body = handler(request, self.shells.get(request.shell_id, user))
        return envelope(request.action + "Response", request.message_id, body)

    def _create(self, request: Request, user: str, client: str) -> str:
        wanted = request.body.find(f"{_RSP}Shell")
        idle = wanted.findtext(f"{_RSP}IdleTimeOut") if wanted is not None else None
        idle_s = duration(idle) if idle else _DEFAULT_IDLE_S
        shell = self.shells.create(
            user,
            idle_s,
            int(request.options.get("WINRS_CODEPAGE", "437")),
            wanted.get("ShellId", "") if wanted is not None else "",
        )
        return (
            f"<x:ResourceCreated><a:Address>{self.url}</a:Address><a:ReferenceParameters>"
            f"<w:ResourceURI>{CMD}</w:ResourceURI><w:SelectorSet>"
            f'<w:Selector Name="ShellId">{shell.shell_id}</w:Selector></w:SelectorSet>'
            "</a:ReferenceParameters></x:ResourceCreated>"
            f"<rsp:Shell><rsp:ShellId>{shell.shell_id}</rsp:ShellId><rsp:ResourceUri>{CMD}</rsp:ResourceUri>"
            f"<rsp:Owner>{user}</rsp:Owner><rsp:ClientIP>{client}</rsp:ClientIP>"
            f"<rsp:IdleTimeOut>PT{idle_s:.3f}S</rsp:IdleTimeOut><rsp:InputStreams>stdin</rsp:InputStreams>"
            "<rsp:OutputStreams>stdout stderr</rsp:OutputStreams><rsp:ShellRunTime>P0DT0H0M0S</rsp:ShellRunTime>"
            "<rsp:ShellInactivity>P0DT0H0M0S</rsp:ShellInactivity></rsp:Shell>"
        )

    def _command(self, request: Request, shell: Shell) -> str:
        line = _required(request.body, "CommandLine")
        words = [line.findtext(f"{_RSP}Command") or ""]
        words += [argument.text or "" for argument in line.findall(f"{_RSP}Arguments")]
        process = self.shells.start(shell, line.get("CommandId", ""))
        threading.Thread(
            target=execute, args=(self.host, " ".join(words), process), name="powershell", daemon=True
        ).start()
        return f"<rsp:CommandResponse><rsp:CommandId>{process.command_id}</rsp:CommandId></rsp:CommandResponse>"

    def _send(self, request: Request, shell: Shell) -> str:
        send = _required(request.body, "Send")
        for stream in send.findall(f"{_RSP}Stream"):
            try:
                data = base64.b64decode(stream.text or "", validate=True)
            except binascii.Error:
                raise WsmanFault(SCHEMA_VALIDATION, "The stream is not base64.") from None
            process = self.shells.process(shell, stream.get("CommandId", ""))
            process.feed(data, stream.get("End", "").lower() == "true")
        return "<rsp:SendResponse/>"

    def _receive(self, request: Request, shell: Shell) -> str:
        desired = _required(request.body, "Receive").find(f"{_RSP}DesiredStream")
        process = self.shells.process(shell, desired.get("CommandId", "") if desired is not None else "")
        room = (min(request.max_envelope, _MAX_BODY) - _ENVELOPE_OVERHEAD) * 3 // 4
        self.polls += 1
        try:
            received = process.receive(request.timeout_s, max(1024, room))
        finally:
            self.polls -= 1
        shell.used = max(shell.used, self.shells._clock())
        if received is None:
            raise timed_out()
        return _receive_response(process, *received)

    def _signal(self, request: Request, shell: Shell) -> str:
        signal = _required(request.body, "Signal")
        command_id = signal.get("CommandId", "")
        process = self.shells.process(shell, command_id)
        if (signal.findtext(f"{_RSP}Code") or "").lower().endswith("/terminate"):
            self.shells.forget(shell, command_id)
        else:
            process.terminate()  # ctrl_c ends the process but its id stays known
        return "<rsp:SignalResponse/>"

    def _delete(self, request: Request, shell: Shell) -> str:
        self.shells.delete(shell.shell_id)
        return ""


def _required(body: ET.Element, name: str) -> ET.Element:
    found = body.find(f"{_RSP}{name}")
    if found is None:
        raise WsmanFault(SCHEMA_VALIDATION, f"The request has no {name}.", "w:SchemaValidationError")
    return found


def _receive_response(process: Process, chunks: list[tuple[str, bytes]], exit_code: int | None) -> str:
    command = process.command_id
    parts = [
        f'<rsp:Stream Name="{stream}" CommandId="{command}">{base64.b64encode(data).decode()}</rsp:Stream>'
        for stream, data in chunks
    ]
    if exit_code is None:
        parts.append(f'<rsp:CommandState CommandId="{command}" State="{SHELL}/CommandState/Running"/>')
    else:
        parts += [f'<rsp:Stream Name="{s}" CommandId="{command}" End="true"/>' for s in ("stdout", "stderr")]
        parts.append(
            f'<rsp:CommandState CommandId="{command}" State="{SHELL}/CommandState/Done">'
            f"<rsp:ExitCode>{exit_code}</rsp:ExitCode></rsp:CommandState>"
        )
    return "<rsp:ReceiveResponse>" + "".join(parts) + "</rsp:ReceiveResponse>"


class _Connection(BaseHTTPRequestHandler):
    """One keep-alive connection; its NTLM context lives and dies with it."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write per reply: with Nagle and small writes each request would cost 40 ms more

    def __init__(self, endpoint: WinRM, connection: ssl.SSLSocket, boot: int) -> None:
        self._endpoint = endpoint
        self._boot = boot
        self._caller = Caller(endpoint.account)
        super().__init__(connection, connection.getpeername(), endpoint)  # type: ignore[arg-type]

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _MAX_BODY:
            self._reply(413, b"")
            self.close_connection = True
            return
        body = self.rfile.read(length)
        self._endpoint.stay_mute_while_dark(self._boot)
        if self.path.lower() != "/wsman":
            self._reply(404, b"")
            return
        if not self._let_in():
            return
        if not body:
            self._reply(200, b"")
            return
        self._reply(*self._dispatch(body))

    def _let_in(self) -> bool:
        header = self.headers.get("Authorization")
        challenge = None
        if header or not self._caller.user:
            challenge = self._caller.answer(header)
        if self._caller.user and not self._endpoint.host.faults.lasting("auth"):
            return True
        if header and not challenge:
            # Windows counts these towards the lockout of the account (security event 4625).
            self._endpoint.host.callbook.refuse("logon", "An account failed to log on.")
        self._reply(401, b"", (challenge,) if challenge else Caller.OFFERS)
        return False

    def _dispatch(self, body: bytes) -> tuple[int, bytes]:
        message_id = ""
        try:
            request = parse(body)
            message_id = request.message_id
            return 200, self._endpoint.answer(request, self._caller.user, self.client_address[0])
        except WsmanFault as fault:
            return fault.status, fault_envelope(fault, message_id, self._endpoint.host.fqdn)

    def _reply(self, status: int, body: bytes, authenticate: tuple[str, ...] = ()) -> None:
        self._endpoint.stay_mute_while_dark(self._boot)
        self.send_response_only(status)
        self.send_header("Server", "Microsoft-HTTPAPI/2.0")
        for offer in authenticate:
            self.send_header("WWW-Authenticate", offer)
        if body:
            self.send_header("Content-Type", "application/soap+xml;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._endpoint.stay_mute_while_dark(self._boot)
        self._reply(405, b"")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the call book is the log."""
