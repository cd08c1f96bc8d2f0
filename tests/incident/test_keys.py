"""Writers' keys: made once, private, named, of one kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from incident.keys import Keys, KeyTrouble, init_key, load_keys, load_writer


def test_a_key_is_made_once_and_read_back(tmp_path: Path) -> None:
    public = init_key("bot-leeds", "bot", state_dir=tmp_path, keys_dir=tmp_path / "keys.d")
    private = tmp_path / "keys" / "bot-leeds.pem"
    assert private.stat().st_mode & 0o777 == 0o600
    assert json.loads(public.read_text())["kind"] == "bot"
    keys = load_keys(tmp_path / "keys.d")
    writer = load_writer("bot-leeds", state_dir=tmp_path, keys=keys)
    assert writer.kind == "bot"
    assert keys["bot-leeds"].signed(b"h" * 32, writer.sign(b"h" * 32))
    assert not keys["bot-leeds"].signed(b"x" * 32, writer.sign(b"h" * 32))
    assert "Ed25519" not in repr(writer)
    with pytest.raises(KeyTrouble, match="exists already; nothing was written"):
        init_key("bot-leeds", "bot", state_dir=tmp_path, keys_dir=tmp_path / "keys.d")


def test_a_key_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    keys_dir = tmp_path / "keys.d"
    with pytest.raises(KeyTrouble, match="no public key in"):
        load_keys(keys_dir)
    with pytest.raises(KeyTrouble, match="cannot name a writer"):
        init_key("../bot", "bot", state_dir=tmp_path, keys_dir=keys_dir)
    with pytest.raises(KeyTrouble, match=r"lync-dr keys init bot --kind KIND \(bot, cli or worker\)"):
        load_writer("bot", state_dir=tmp_path, keys=Keys())
    init_key("bot", "bot", state_dir=tmp_path, keys_dir=keys_dir)
    with pytest.raises(KeyTrouble, match=r"Put it back, or make a writer with a new name: .* --kind bot"):
        load_writer("bot", state_dir=tmp_path / "elsewhere", keys=load_keys(keys_dir))
    with pytest.raises(KeyTrouble, match="no public key among those"):
        load_writer("bot", state_dir=tmp_path, keys=Keys())
    init_key("bot", "bot", state_dir=tmp_path / "other", keys_dir=tmp_path / "other.d")
    with pytest.raises(KeyTrouble, match="does not belong to the public key"):
        load_writer("bot", state_dir=tmp_path, keys=load_keys(tmp_path / "other.d"))
    private = tmp_path / "keys" / "bot.pem"
    private.chmod(0o644)
    with pytest.raises(KeyTrouble, match="Others can read"):
        load_writer("bot", state_dir=tmp_path, keys=load_keys(keys_dir))
    private.chmod(0o600)
    private.write_text("nonsense")
    with pytest.raises(KeyTrouble, match="no Ed25519 private key"):
        load_writer("bot", state_dir=tmp_path, keys=load_keys(keys_dir))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"ed25519": "AAAA", "kind": "bot", "name": "bot"}',
        '{"ed25519": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "kind": "root", "name": "bot"}',
        '{"ed25519": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "kind": "bot", "name": "act1"}',
    ],
)
def test_a_public_key_file_is_read_strictly(text: str, tmp_path: Path) -> None:
    (tmp_path / "bot.pub.json").write_text(text)
    with pytest.raises(KeyTrouble, match=r"bot\.pub\.json"):
        load_keys(tmp_path)
