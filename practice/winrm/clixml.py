"""Standard error of Windows PowerShell when its streams are redirected: CLIXML ([MS-PSRP] 2.2.5)."""

from __future__ import annotations

from xml.sax.saxutils import escape

HEADER = b"#< CLIXML\r\n"


def errors(rendered: str) -> bytes:
    """Red text as one `Objs` document: one S element per printed line, its line end escaped."""
    lines = "".join(
        f'<S S="Error">{escape(_escaped(line))}_x000D__x000A_</S>'
        for line in rendered.replace("\r\n", "\n").split("\n")
    )
    return (
        '<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">' + lines + "</Objs>"
    ).encode()


def _escaped(text: str) -> str:
    plain = text.replace("_x", "_x005F_x")
    return "".join(c if c >= " " or c == "\t" else f"_x{ord(c):04X}_" for c in plain)
