"""Takes secrets out of text before it reaches the record, the channel or a log.

Two nets, both on decoded text. *Known* secrets are the values this process was given (passwords, tokens): they are
found wherever they stand, also wrapped over a line end and in the usual disguises (base64, percent, XML). *Forms* are
shapes that are secrets nearly everywhere: `password=…`, bearer tokens, Slack tokens, private keys, passwords in URLs.

:class:`Redactor` is for whole texts; :meth:`Redactor.stream` for text that arrives in pieces, where a secret may be cut
anywhere.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

REMOVED = "[removed]"

SHORTEST = 6
"""Known values shorter than this are not searched for: they would blank half of every text and protect nothing."""

HELD = 65_536
"""Characters of one unfinished line that a stream holds back at most."""

_KEY_WORDS = (
    r"pass(?:word|wd|phrase)?|pwd|secret|client[_-]?secret|api[_-]?key|access[_-]?key|account[_-]?key|"
    r"shared[_-]?access[_-]?key|private[_-]?key|auth[_-]?token|access[_-]?token|refresh[_-]?token|token"
)
_FORMS = re.compile(
    r"(?P<pem>-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:(?!-----END ).)*(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z))"
    r"|(?P<slack>\bx(?:ox[a-z](?:\.[a-z0-9]+)?|app|wfp)-[A-Za-z0-9-]{8,})"
    r"|(?P<hook>(?<=hooks\.slack\.com/)[A-Za-z]+/[A-Za-z0-9/_-]{8,})"
    r"|(?P<jwt>\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})"
    r"|(?i:\b(?:bearer|basic|negotiate|ntlm|credssp)\s+)(?P<bearer>[A-Za-z0-9._~+/-]{16,}=*)"
    r"|(?<=://)[^\s/:@]{1,128}:(?P<url>[^\s/@]{1,256})(?=@)"
    rf"|(?i:(?<![A-Za-z])(?:{_KEY_WORDS})[\"']?\s{{0,4}}[:=]\s{{0,4}})(?P<pair>\"[^\"\n]+\"|'[^'\n]+'|[^\s;,&\"'<>]+)"
    r"|(?i:\s-(?:password|passwd|pwd|token|secret|apikey)[ :])(?P<option>\"[^\"\n]+\"|'[^'\n]+'|[^\s;,&\"'<>$(]+)",
    re.DOTALL,
)
_PEM_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_PEM_ENDS = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")


def _disguises(secret: str) -> set[str]:
    """The secret as it also appears: percent-encoded, escaped for XML or JSON, in base64 at three alignments."""
    found = {secret, quote(secret, safe=""), quote_plus(secret), html.escape(secret), json.dumps(secret)[1:-1]}
    for encoding in ("utf-8", "utf-16-le"):
        raw = secret.encode(encoding, "surrogatepass")
        for shift in range(3):
            # The characters that mix with neighbouring bytes are left off; what remains is in any base64 of the secret.
            code = base64.b64encode(b"\0" * shift + raw).decode()
            core = code[(0, 2, 3)[shift] : len(code) - (4 if (shift + len(raw)) % 3 else 0)]
            if len(core) >= 8:
                found |= {core, core.replace("+", "-").replace("/", "_")}
    return found


def _wrapped(secret: str) -> str:
    """A pattern that finds the secret also where a console has broken it over a line end."""
    return r"(?:[ \t]*\r?\n[ \t]*)?".join(re.escape(c) for c in secret)


class Redactor:
    """Knows the secrets of this process and takes them, and what looks like one, out of text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known: set[str] = set()
        for secret in secrets:
            for part in {secret, *(secret.splitlines() if "\n" in secret else ())}:
                if len(part.strip()) >= SHORTEST:
                    known |= _disguises(part.strip())
        ordered = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(_wrapped(s) for s in ordered)) if ordered else None
        self._starts = tuple(ordered)
        self.longest = max((len(s) for s in ordered), default=0)

    def __repr__(self) -> str:
        return f"Redactor({len(self._starts)} patterns)"

    def text(self, text: str) -> str:
        """The whole text without secrets."""
        return _cut_out(text, self.spans(text))

    def known(self, text: str) -> str:
        """The text without known secrets only: for values that must stay exact, such as a property read back."""
        return self._known.sub(REMOVED, text) if self._known else text

    def stream(self) -> Stream:
        """A fresh state for one text that arrives in pieces."""
        return Stream(self)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where secrets stand in the text, in order; they may overlap."""
        spans = [m.span() for m in self._known.finditer(text)] if self._known else []
        for m in _FORMS.finditer(text):
            if m.lastgroup:
                spans.append(m.span(m.lastgroup))
        return sorted(spans)

    def unfinished(self, text: str) -> int:
        """How many characters at the end could be the beginning of a known secret (line ends do not count)."""
        tail = text[-2 * self.longest - 64 :]
        bare, places = [], []
        for place, char in enumerate(tail):
            if char not in "\r\n":
                bare.append(char)
                places.append(place)
        flat = "".join(bare).rstrip(" \t") if tail[-1:] in "\r\n" else "".join(bare)
        for size in range(min(self.longest, len(flat)), 0, -1):
            end = flat[-size:]
            if any(len(s) > size and s.startswith(end) for s in self._starts):
                return len(tail) - places[len(flat) - size]
        return 0


def _cut_out(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with the spans replaced; spans may overlap."""
    out: list[str] = []
    at = 0
    for begin, end in spans:
        if end <= at:
            continue
        if begin >= at:
            out += (text[at:begin], REMOVED)
        at = end
    out.append(text[at:])
    return "".join(out)


class Stream:
    """Redacts text that arrives in pieces: gives out whole lines, and holds back what may still become a secret."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""
        self._in_key = False

    def feed(self, piece: str) -> str:
        """Takes the next piece; returns what is certainly free of secrets by now (may be empty)."""
        self._held += piece
        return self._past_keys() + self._whole_lines()

    def end(self) -> str:
        """No more will come, or the caller will wait no longer: returns all that was held back."""
        before = self._past_keys()
        rest, self._held = ("" if self._in_key else self._held), ""
        self._in_key = False
        return before + self._redactor.text(rest)

    def _past_keys(self) -> str:
        """Drops private keys as they arrive, so that even an endless one is not held; returns what stood before."""
        out: list[str] = []
        while True:
            mark = (_PEM_ENDS if self._in_key else _PEM_BEGINS).search(self._held)
            if mark is None:
                if self._in_key:
                    self._held = self._held[-80:]  # longer than any end mark, which may be cut in two
                return "".join(out)
            if not self._in_key:
                out += (self._redactor.text(self._held[: mark.start()]), REMOVED)
            self._held = self._held[mark.end() :]
            self._in_key = not self._in_key

    def _whole_lines(self) -> str:
        if self._in_key:
            return ""
        text = self._held
        cut = text.rfind("\n") + 1
        if len(text) - cut > HELD:
            cut = len(text) - max(4096, 2 * self._redactor.longest)
        if not cut:
            return ""
        cut = min(cut, len(text) - self._redactor.unfinished(text))
        spans = self._redactor.spans(text)
        for begin, end in reversed(spans):
            if begin < cut < end:
                cut = begin
        self._held = text[cut:]
        return _cut_out(text[:cut], [span for span in spans if span[1] <= cut])
