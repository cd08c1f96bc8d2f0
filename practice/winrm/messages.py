"""WS-Management messages: reading requests, writing responses and faults.

Shapes follow [MS-WSMV] (Web Services Management Protocol Extensions for Windows Vista) and DSP0226.
"""

from __future__ import annotations

import re
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from xml.sax.saxutils import escape

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
CMD = SHELL + "/cmd"

OPERATION_TIMED_OUT = 2150858793
INVALID_SELECTORS = 2150858843
SCHEMA_VALIDATION = 2150858817
QUOTA_MAX_SHELLS = 2150859173
QUOTA_MAX_OPERATIONS = 2150859174
ACTION_NOT_SUPPORTED = 2150858754
INVALID_PARAMETER = 87

_DURATION = re.compile(r"^PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?$")


@dataclass(frozen=True)
class WsmanFault(Exception):
    """A fault to answer with."""

    code: int
    text: str
    subcode: str = "w:InternalError"
    receiver: bool = False
    status: int = 500
    detail: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Request:
    """One request, as far as the server looks at it."""

    action: str
    message_id: str
    resource: str
    shell_id: str
    timeout_s: float
    max_envelope: int
    options: dict[str, str]
    body: ET.Element


def parse(data: bytes) -> Request:
    """Read an envelope; raises `WsmanFault` for what no client of ours sends."""
    if b"<!DOCTYPE" in data:
        raise WsmanFault(SCHEMA_VALIDATION, "A document type declaration is not allowed.", "w:SchemaValidationError")
    try:
        root = ET.fromstring(data)
    except ET.ParseError as problem:
        raise WsmanFault(
            SCHEMA_VALIDATION, f"The request is not well-formed XML: {problem}.", "w:SchemaValidationError"
        ) from None
    header = root.find(f"{{{SOAP}}}Header")
    body = root.find(f"{{{SOAP}}}Body")
    if header is None:
        raise WsmanFault(SCHEMA_VALIDATION, "The request has no header.", "w:SchemaValidationError")
    selector = header.find(f"{{{WSMAN}}}SelectorSet/{{{WSMAN}}}Selector[@Name='ShellId']")
    return Request(
        action=_text(header, ADDRESSING, "Action"),
        message_id=_text(header, ADDRESSING, "MessageID"),
        resource=_text(header, WSMAN, "ResourceURI"),
        shell_id=(selector.text or "") if selector is not None else "",
        timeout_s=duration(_text(header, WSMAN, "OperationTimeout") or "PT60S"),
        max_envelope=int(_text(header, WSMAN, "MaxEnvelopeSize") or 153600),
        options={
            option.get("Name", ""): option.text or ""
            for option in header.findall(f"{{{WSMAN}}}OptionSet/{{{WSMAN}}}Option")
        },
        body=body if body is not None else ET.Element(f"{{{SOAP}}}Body"),
    )


def _text(parent: ET.Element, namespace: str, name: str) -> str:
    return (parent.findtext(f"{{{namespace}}}{name}") or "").strip()


def duration(text: str) -> float:
    """Seconds of an xs:duration such as `PT20S`. Windows refuses anything else, for instance plain milliseconds."""
    match = _DURATION.match(text)
    if not match:
        raise WsmanFault(
            SCHEMA_VALIDATION,
            "The SOAP XML in the message does not match the corresponding XML schema definition. "
            "Change the XML and retry.",
            "w:SchemaValidationError",
        )
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)


def envelope(action: str, relates_to: str, body: str) -> bytes:
    """A whole response. `relates_to` is repeated byte for byte, because pypsrp compares the text."""
    return (
        f'<s:Envelope xml:lang="en-US" xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:x="{TRANSFER}" '
        f'xmlns:w="{WSMAN}" xmlns:rsp="{SHELL}">'
        f"<s:Header><a:Action>{escape(action)}</a:Action>"
        f"<a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID>"
        f"<a:To>{ADDRESSING}/role/anonymous</a:To><a:RelatesTo>{escape(relates_to)}</a:RelatesTo></s:Header>"
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def fault_envelope(fault: WsmanFault, relates_to: str, machine: str) -> bytes:
    """A fault as Windows words it: code, subcode, reason, and WSManFault with the number clients act upon."""
    code = "s:Receiver" if fault.receiver else "s:Sender"
    detail = f"<w:FaultDetail>{WSMAN}/faultDetail/{fault.detail}</w:FaultDetail>" if fault.detail else ""
    return envelope(
        f"{WSMAN}/fault",
        relates_to,
        f"<s:Fault><s:Code><s:Value>{code}</s:Value><s:Subcode><s:Value>{fault.subcode}</s:Value></s:Subcode>"
        f'</s:Code><s:Reason><s:Text xml:lang="en-US">{escape(fault.text)}</s:Text></s:Reason>'
        f'<s:Detail>{detail}<f:WSManFault xmlns:f="{FAULT}" Code="{fault.code}" Machine="{escape(machine)}">'
        f"<f:Message>{escape(fault.text)}</f:Message></f:WSManFault></s:Detail></s:Fault>",
    )


def timed_out() -> WsmanFault:
    """Nothing to report within OperationTimeout: normal for a long poll."""
    return WsmanFault(
        OPERATION_TIMED_OUT,
        "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.  ",
        "w:TimedOut",
        receiver=True,
    )


def no_such(what: str) -> WsmanFault:
    """The shell or command of the request does not exist (any more)."""
    return WsmanFault(
        INVALID_SELECTORS,
        "The request for the Windows Remote Shell with ShellId failed because the shell was not found on the server. "
        "Possible causes are: the specified ShellId is incorrect or the shell no longer exists on the server. "
        "Provide the correct ShellId or create a new shell and retry the operation."
        if what == "shell"
        else "The Windows Remote Shell received a request to perform an operation on a command identifier that does "
        "not exist. Either the command has completed execution or the client specified an invalid command identifier.",
        "w:InvalidSelectors",
        detail="UnexpectedSelectors",
    )
