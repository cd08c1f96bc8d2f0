"""Red text made safe, and CLIXML in all the shapes it was recorded in."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.remote.redtext import errors_of, plain, read_clixml, unescape

HEAD = '#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
RED = (
    '<S S="Error">Invoke-X : This pool "fe1" is the next hop _x000D__x000A_</S>'
    '<S S="Error">for the Edge server._x000D__x000A_</S>'
    '<S S="Error">At line:1 char:1_x000D__x000A_</S>'
    '<S S="Error">+ Invoke-X_x000D__x000A_</S><S S="Error">+ ~~~~~~~~_x000D__x000A_</S>'
    '<S S="Error">    + CategoryInfo          : InvalidOperation: (:) [Invoke-X], InvalidOpera _x000D__x000A_</S>'
    '<S S="Error">   tionException_x000D__x000A_</S>'
    '<S S="Error">    + FullyQualifiedErrorId : ProcessRecord,Some.Cmdlet_x000D__x000A_</S>'
    '<S S="Error"> _x000D__x000A_</S>'
)


def test_errors_are_put_together_from_their_lines() -> None:
    progress = '<Obj S="progress" RefId="0"><MS><I64 N="SourceId">1</I64></MS></Obj>'
    xml = f'{HEAD}{progress}<S S="warning">careful</S>{RED}{RED.replace("Some", "Other")}</Objs>'
    first, second = errors_of(xml)
    assert first.message == 'Invoke-X : This pool "fe1" is the next hop for the Edge server.'
    assert (first.fqid, first.category) == ("ProcessRecord,Some.Cmdlet", "InvalidOperation")
    assert second.fqid == "ProcessRecord,Other.Cmdlet"
    assert "+ ~~~~" in first.text


def test_broken_cut_and_mixed_documents_lose_nothing_that_was_complete() -> None:
    cut = f'native text\r\n{HEAD}{RED}<S S="Error">half a li'
    said = read_clixml(cut)
    assert said[0].text.strip() == "native text"
    assert len([s for s in said if s.stream == "error"]) == 9
    two = read_clixml(f'{HEAD}<S S="verbose">one</S></Objs>#< CLIXML\r\n<Objs><S S="debug">two</S></Objs>')
    assert [(s.stream, s.text) for s in two] == [("verbose", "one"), ("debug", "two")]
    info = f'{HEAD}<Obj S="information" RefId="0"><TN RefId="0"><T>x</T></TN><ToString>hi</ToString></Obj></Objs>'
    assert [(s.stream, s.text) for s in read_clixml(info)] == [("information", "hi")]
    bomb = '<Objs><!DOCTYPE a [<!ENTITY b "c">]><S S="Error">&b;</S></Objs>'
    assert read_clixml(bomb)[0].stream == "text"
    assert errors_of("plain words\nof cmd.exe")[0].message == "plain words of cmd.exe"


def test_escapes() -> None:
    assert unescape("a_x000A_b_x005F_x0041_ _xD83D__xDE00_ _xZZZZ_") == "a\nb_x0041_ 😀 _xZZZZ_"


def test_plain_keeps_what_a_person_reads() -> None:
    assert (
        plain("\ufeff\x1b[31;1mred\x1b[0m\x07 \u202egnp.exe\u202c\r\n\ttab\x00 é 😀\u200b\r\n\r\n")
        == "red gnp.exe\n\ttab é 😀"
    )


scraps = st.sampled_from(
    ["<", "S", "Objs", ">", "/", "_x0", "00A_", "#< CLIXML\n", "<Objs>", "é", "&", "]]>", "\ud800"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(scraps).map("".join))
def test_nothing_that_comes_makes_it_fail(text: str) -> None:
    errors_of(text)
    plain(text)
