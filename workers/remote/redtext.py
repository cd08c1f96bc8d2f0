"""Red text made safe to show, and the CLIXML that PowerShell writes on standard error.

The runner reports errors as fields. What comes on standard error is only the fallback, for when PowerShell failed
before the runner could speak. It is parsed defensively: what cannot be understood is kept as text, nothing is dropped.
Layout: the `#< CLIXML` header and `Objs` roots, one `S` element per physical line of an error, as recorded in the test
data of pywinrm and pypsrp and in github.com/PowerShell/PowerShell issues 5912, 12489 and 18600.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from xml.parsers import expat

from workers.remote.door import RedLine

LONGEST = 65_536
"""Characters of one error kept in `text`; the raw text is kept whole elsewhere."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|\x9b[0-?]*[ -/]*[@-~]")
_ESCAPES = re.compile(r"(?:_x[0-9A-Fa-f]{4}_)+")
_HEADER = re.compile(r"#< ?CLIXML\r?\n?")
_CATEGORY = re.compile(r"^\s*\+ CategoryInfo\s+: (?P<category>\w+): .*?(?:\[[^\]]*\], (?P<reason>\S+))?\s*$")
_FQID = re.compile(r"^\s*\+ FullyQualifiedErrorId : (?P<fqid>.+?)\s*$")


def plain(text: str) -> str:
    """Text without colour codes, control characters, direction marks, zero-width characters and byte order marks.

    Line ends become LF, tabs stay; what a person reads stays what it was.
    """
    text = _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    kept = [c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn")]
    lines = [line.rstrip() for line in "".join(kept).split("\n")]
    return "\n".join(lines).strip("\n")[:LONGEST]


@dataclass(frozen=True)
class Said:
    """One record on standard error: its stream (`error`, `warning`, `verbose`, …, or `text`) and what it said."""

    stream: str
    text: str


def read_clixml(text: str) -> tuple[Said, ...]:
    """The records on standard error in order; text outside CLIXML, or CLIXML that is broken, comes as `text`."""
    if "#<" not in text and "<Objs" not in text:
        return (Said("text", text),) if text.strip() else ()
    said: list[Said] = []
    for piece in re.split(r"(<Objs\b.*?(?:</Objs>|\Z))", text, flags=re.DOTALL):
        if piece.startswith("<Objs"):
            said += _read_objs(piece)
        else:
            rest = _HEADER.sub("", piece)
            if rest.strip():
                said.append(Said("text", rest))
    return tuple(said)


def _read_objs(xml: str) -> list[Said]:
    """Reads as far as it goes: each `S` counts as soon as it is closed, so a cut document loses only its last one."""
    said: list[Said] = []
    stream: list[str] = []
    chars: list[str] = []
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth == 2:
            stream[:] = [attributes.get("S", "").lower()]
            chars.clear()

    def end(tag: str) -> None:
        nonlocal depth
        if depth == 2 and tag == "S":
            said.append(Said(stream[0] or "text", unescape("".join(chars))))
        elif depth == 3 and tag == "ToString" and stream[0] == "information":
            said.append(Said("information", unescape("".join(chars))))
        if depth > 2:
            chars.clear()
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = chars.append
    # PowerShell declares no document type; one that is there is an attack.
    parser.StartDoctypeDeclHandler = _no_doctype
    try:
        parser.Parse(xml, True)
    except (expat.ExpatError, ValueError):
        if not said:
            said.append(Said("text", xml))
    return said


def _no_doctype(*_: object) -> None:
    raise ValueError("CLIXML with a document type")


def unescape(text: str) -> str:
    """Undoes `_xHHHH_`, which stands for one UTF-16 unit; two of them may form one character."""

    def units(match: re.Match[str]) -> str:
        raw = b"".join(int(h, 16).to_bytes(2, "little") for h in re.findall(r"_x([0-9A-Fa-f]{4})_", match.group()))
        return raw.decode("utf-16-le", "replace")

    return _ESCAPES.sub(units, text)


def errors_of(text: str) -> tuple[RedLine, ...]:
    """The error records on standard error, put together from their physical lines.

    A record ends at the blank line after its FullyQualifiedErrorId; what is left over is a record without fields.
    """
    errors: list[RedLine] = []
    lines: list[str] = []
    for said in read_clixml(text):
        if said.stream not in ("error", "text"):
            continue
        for line in re.split(r"\r?\n", said.text.removesuffix("\n").removesuffix("\r")):
            if not line.strip() and any(_FQID.match(old) for old in _joined(lines)):
                errors.append(_red(lines))
                lines = []
            else:
                lines.append(line)
    if any(line.strip() for line in lines):
        errors.append(_red(lines))
    return tuple(errors)


def _joined(lines: list[str]) -> list[str]:
    """Undoes the wrapping of the two `+ …` lines, whose continuations are indented by three blanks."""
    joined: list[str] = []
    for line in lines:
        wraps = joined and re.match(r"\s+\+ (?:CategoryInfo|FullyQualifiedErrorId)\s", joined[-1])
        if wraps and re.match(r"   \S", line):
            joined[-1] += line[3:]
        else:
            joined.append(line)
    return joined


def _red(lines: list[str]) -> RedLine:
    raw = "\n".join(lines)
    fields: dict[str, str] = {}
    message: list[str] = []
    in_message = True
    for line in _joined(lines):
        found = _CATEGORY.match(line) or _FQID.match(line)
        if found:
            fields |= {k: v for k, v in found.groupdict().items() if v}
        if found or re.match(r"At .+:\d+|\s*\+ ", line):
            in_message = False
        elif in_message:
            message.append(line.strip())
    head = plain(" ".join(m for m in message if m))
    return RedLine(
        message=head or plain(raw)[:400],
        text=plain(raw),
        fqid=plain(fields.get("fqid", "")),
        category=fields.get("category", ""),
        type=fields.get("reason", ""),
        raw=raw,
    )
