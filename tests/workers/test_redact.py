"""Secrets stay out of text, whole or in pieces."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.redact import HELD, REMOVED, Redactor

SECRET = 'Zu&gro"ß! 4711'
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc/def\nghi==\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        f"login as svc with {SECRET} failed",
        "wrapped: " + SECRET[:5] + "\r\n   " + SECRET[5:],
        f"<S>{SECRET.replace('&', '&amp;').replace(chr(34), '&quot;')}</S>",
        quote(SECRET, safe=""),
        base64.b64encode(f"svc:{SECRET}".encode()).decode(),
        base64.b64encode(f"ab{SECRET}".encode("utf-16-le")).decode(),
    ],
)
def test_a_known_secret_is_found_in_its_disguises(text: str) -> None:
    clean = Redactor([SECRET]).text(text)
    assert REMOVED in clean
    assert SECRET[5:] not in clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Server=sql;User ID=sa;Password=hunter2;Timeout=5", "Server=sql;User ID=sa;Password=[removed];Timeout=5"),
        ('{"password": "a b,c", "x": 1}', '{"password": [removed], "x": 1}'),
        ("Authorization: Bearer abcdefghijklmnop.qrs", "Authorization: Bearer [removed]"),
        ("token xoxb-1234-5678-AbCdEf and xapp-1-A0B-99-deadbeef", "token [removed] and [removed]"),
        ("https://svc:hunter2@host/path", "https://svc:[removed]@host/path"),
        ("New-X -Password hunter2 -Force", "New-X -Password [removed] -Force"),
        (f"before\n{KEY}\nafter", "before\n[removed]\nafter"),
        ("AccountKey=abc/def==;x", "AccountKey=[removed];x"),
    ],
)
def test_what_looks_like_a_secret_is_removed(text: str, clean: str) -> None:
    assert Redactor().text(text) == clean


def test_ordinary_output_stays_as_it_is() -> None:
    text = (
        'VERBOSE: This Front-end pool "fe1.ocsguy.local" is specified in topology as the next hop.\n'
        "Set-CsEdgeServer -Identity EdgeServer:edge1.ocsguy.local -Registrar Registrar:fe2.ocsguy.local\n"
        "    + FullyQualifiedErrorId : ProcessRecord,Microsoft.Rtc.Management.Hadr.InvokePoolFailOverCmdlet\n"
        "0123456789abcdef0123456789abcdef https://meet.ocsguy.local/rita/ABCD password policy: passed\n"
    ).replace("password policy: passed", "passwords expire")
    assert Redactor(["tiny"]).text(text) == text


pieces = st.sampled_from(["a", "Zu", SECRET, SECRET[:4], "\n", " ", "x=1\n", KEY, "pwd=abcd\n", "-----BEGIN "])


@settings(max_examples=150, deadline=None)
@given(st.lists(pieces, max_size=12), st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_pieces_give_what_the_whole_gives(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    redactor = Redactor([SECRET])
    stream = redactor.stream()
    out, at = "", 0
    for cut in [*cuts, len(text)]:
        out += stream.feed(text[at : at + cut])
        at += cut
    out += stream.feed(text[at:]) + stream.end()
    assert SECRET not in out
    assert "MIIabc" not in out
    assert out == redactor.text(text)


def test_a_stream_holds_back_little() -> None:
    stream = Redactor([SECRET]).stream()
    assert stream.feed("one line\nand half") == "one line\n"
    assert stream.feed(f" of it {SECRET[:6]}") == ""
    assert stream.feed(f"{SECRET[6:]}\n") == f"and half of it {REMOVED}\n"
    given_out = stream.feed("y" * (HELD + 9000))
    assert len(given_out) > HELD // 2
    assert stream.feed("-----BEGIN PRIVATE KEY-----\n" + "k" * 5 * HELD).endswith(REMOVED)
    assert stream.end() == ""
