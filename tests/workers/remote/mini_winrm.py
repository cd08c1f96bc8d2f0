"""A small WinRM server over TLS with Basic authentication, for what needs a fault at an exact place.

It reads the command line and standard input as docs/runner-protocol.md says, with its own eyes, and lets a function of
the test speak as the runner. Messages as in MS-WSMV; field by field as pywinrm 0.5 reads them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from workers.remote.scripted import FarSide

RSP = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
ENVELOPE = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/'
    f'addressing" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:rsp="{RSP}"><s:Header>'
    "<a:RelatesTo>{to}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"
)
FAULT = (
    "<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text>{text}</s:Text></s:Reason><s:Detail>"
    '<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="{code}"/></s:Detail></s:Fault>'
)
TIMED_OUT, GONE = 2150858793, 2150858843


@dataclass
class Command:
    """One started command: what it says waits here to be received."""

    line: str
    stdin: bytes = b""
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    done: bool = False
    news: threading.Condition = field(default_factory=threading.Condition)

    def emit(self, out: bytes = b"", err: bytes = b"") -> None:
        with self.news:
            self.out += out
            self.err += err
            self.news.notify_all()

    def end(self) -> None:
        with self.news:
            self.done = True
            self.news.notify_all()


Speak = Callable[[FarSide, dict[str, Any], Command], None]
Spoil = Callable[[str], "str | int | None"]


class MiniWinRm:
    """`speak` plays the runner; `spoil(action)` may return "drop" (no reply), "drop-after" (carried out, no reply),
    401, or a WSMan fault code, each time a message arrives. `heard` lists actions in order."""

    def __init__(self, directory: Path, speak: Speak, spoil: Spoil = lambda action: None) -> None:
        self.speak, self.spoil = speak, spoil
        self.password = "Pl@nted-Secret-77"
        self.heard: list[str] = []
        self.payloads: list[dict[str, Any]] = []
        self.commands: dict[str, Command] = {}
        self.shells: set[str] = set()
        self.connections = 0
        self.ca, chain = make_certificates(directory)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        self.chain = chain
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> MiniWinRm:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}/wsman"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        mini = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1
            timeout = 30

            def setup(self) -> None:
                super().setup()
                mini.connections += 1

            def handle(self) -> None:
                try:
                    super().handle()
                except (OSError, ssl.SSLError):
                    self.close_connection = True

            def do_POST(self) -> None:
                message = self.rfile.read(int(self.headers["Content-Length"]))
                certified = isinstance(self.connection, ssl.SSLSocket) and bool(self.connection.getpeercert())
                status, answer = mini.answer(message, self.headers.get("Authorization", ""), certified)
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="WSMAN"')
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def answer(self, message: bytes, authorization: str, certified: bool) -> tuple[int, bytes]:
        """HTTP status (0: drop the connection) and body for one message."""
        tree = ElementTree.fromstring(message)
        action = next(e.text or "" for e in tree.iter() if e.tag.endswith("}Action")).rsplit("/", 1)[1]
        to = next(e.text or "" for e in tree.iter() if e.tag.endswith("}MessageID"))
        self.heard.append(action)
        basic = authorization == "Basic " + base64.b64encode(f"svc:{self.password}".encode()).decode()
        if not basic and not (certified and authorization.endswith("/secprofile/https/mutual")):
            return 401, b""
        spoilt = self.spoil(action)
        if spoilt in ("drop", 401):
            return (0, b"") if spoilt == "drop" else (401, b"")
        body = FAULT.format(code=spoilt, text="spoilt") if isinstance(spoilt, int) else self._do(action, tree)
        if spoilt == "drop-after":
            return 0, b""
        return (500 if "<s:Fault>" in body else 200), ENVELOPE.format(to=to, body=body).encode()

    def _do(self, action: str, tree: ElementTree.Element) -> str:
        shell = next((e.text for e in tree.iter() if e.tag.endswith("}Selector")), None)
        if action == "Create":
            self.shells.add(made := str(uuid.uuid4()).upper())
            return f'<rsp:Shell><w:Selector Name="ShellId">{made}</w:Selector></rsp:Shell>'
        if shell not in self.shells:
            return FAULT.format(code=GONE, text="no such shell")
        if action == "Delete":
            self.shells.discard(shell)
        if action == "Command":
            words = [e.text or "" for e in tree.iter() if e.tag in (f"{{{RSP}}}Command", f"{{{RSP}}}Arguments")]
            self.commands[made := str(uuid.uuid4()).upper()] = Command(" ".join(words))
            return f"<rsp:CommandResponse><rsp:CommandId>{made}</rsp:CommandId></rsp:CommandResponse>"
        if action == "Send":
            stream = next(e for e in tree.iter() if e.tag == f"{{{RSP}}}Stream")
            command = self.commands[stream.attrib["CommandId"]]
            command.stdin += base64.b64decode(stream.text or "")
            if stream.attrib["End"] == "true":
                threading.Thread(target=self._run, args=(command,), daemon=True).start()
        if action == "Receive":
            wanted = next(e for e in tree.iter() if e.tag == f"{{{RSP}}}DesiredStream").attrib["CommandId"]
            hold = next(e.text or "" for e in tree.iter() if e.tag.endswith("}OperationTimeout"))
            return self._receive(self.commands[wanted], wanted, float(hold[2:-1]))
        return ""

    def _receive(self, command: Command, name: str, hold_s: float) -> str:
        with command.news:
            if not command.news.wait_for(lambda: command.out or command.err or command.done, hold_s):
                return FAULT.format(code=TIMED_OUT, text="no output yet")
            streams = {"stdout": bytes(command.out), "stderr": bytes(command.err)}
            command.out.clear()
            command.err.clear()
            done = command.done
        body = "".join(
            f'<rsp:Stream Name="{k}" CommandId="{name}">{base64.b64encode(v).decode()}</rsp:Stream>'
            for k, v in streams.items()
        )
        state = "Done" if done else "Running"
        code = "<rsp:ExitCode>1</rsp:ExitCode>" if done else ""
        return (
            f'{body}<rsp:CommandState CommandId="{name}" State="{RSP}/CommandState/{state}">{code}</rsp:CommandState>'
        )

    def _run(self, command: Command) -> None:
        payload = read_order(command.line, command.stdin)
        self.payloads.append(payload)
        self.speak(FarSide(payload["nonce"], payload["run"], len(payload["calls"])), payload, command)


def read_order(line: str, stdin: bytes) -> dict[str, Any]:
    """The payload, after checking command line, lengths and hashes like the bootstrap does."""
    start = "powershell.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand "
    assert line.startswith(start)
    assert len(line) < 8191
    script = base64.b64decode(line.removeprefix(start)).decode("utf-16-le")
    parts = re.findall(r"Read-Part (\d+) '([0-9a-f]{64})'", script)
    (runner_size, runner_hash), (size, digest) = ((int(n), h) for n, h in parts)
    assert len(stdin) == runner_size + size
    assert hashlib.sha256(stdin[:runner_size]).hexdigest() == runner_hash
    assert hashlib.sha256(stdin[runner_size:]).hexdigest() == digest
    payload: dict[str, Any] = json.loads(stdin[runner_size:])
    assert f"@@{payload['nonce']} refused" in script
    return payload


def make_certificates(directory: Path) -> tuple[str, str]:
    """A fresh authority (PEM file) and a certificate for 127.0.0.1 with its key (one PEM file)."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test authority {uuid.uuid4()}")])
    ca = _certificate(issuer, ca_key.public_key(), issuer, ca_key, x509.BasicConstraints(True, None))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    leaf = _certificate(name, key.public_key(), issuer, ca_key, here)
    ca_file, chain = directory / "ca.pem", directory / "server.pem"
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(
        leaf.public_bytes(serialization.Encoding.PEM) + key.private_bytes(serialization.Encoding.PEM, *plain)
    )
    return str(ca_file), str(chain)


def _certificate(
    subject: x509.Name, public: Any, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    ca_ids = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = builder.add_extension(extension, critical=True).add_extension(ca_ids, critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    if isinstance(extension, x509.BasicConstraints):
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(key, hashes.SHA256())
