"""A wrong configuration is refused in one sentence: file, key, what was expected, what was found, and no secret."""

from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config.load import (
    ConfigError,
    check_together,
    config_digests,
    load_all,
    load_endpoints,
    load_estate,
    load_policy,
    load_settings,
    need,
    slices,
    web_address,
)
from config.secret import Secret

CONFIG = Path(__file__).resolve().parents[2] / "config"
PLANTED = "planted-hunter2"


def practised(where: Path) -> dict[str, str]:
    """An environment like a rehearsal's, its endpoints file and CA in ``where``."""
    (where / "ca.pem").write_text("a certificate")
    hosts = [("fe1", ""), ("fe2", ""), ("dns1", 'dns = "127.0.0.1:5301"'), ("dns2", 'dns = "127.0.0.1:5302"')]
    tables = [
        f'[hosts."{name}.ocsguy.local"]\nurl = "https://127.0.0.1:59{i}/wsman"\nca = "ca.pem"\n'
        f'transport = "ntlm"\ncredential = "lync"\n{dns}\n'
        for i, (name, dns) in enumerate(hosts, 10)
    ]
    (where / "endpoints.toml").write_text("\n".join(['practice = "REHEARSAL"', *tables]))
    return {
        "LYNC_DR_ENDPOINTS": str(where / "endpoints.toml"),
        "LYNC_DR_ESTATE": str(CONFIG / "estate.practice.toml"),
        "LYNC_DR_POLICY": str(CONFIG / "policy.practice.toml"),
        "LYNC_DR_CREDENTIAL_LYNC": f"OCSGUY\\svc:{PLANTED}:with:colons",
    }


def test_the_practice_configuration_loads_together(tmp_path: Path) -> None:
    config = load_all(load_settings(practised(tmp_path)))
    assert config.endpoints.practice == "REHEARSAL"
    assert config.endpoints.door("fe2.ocsguy.local") == ("127.0.0.1", 5911)
    assert config.endpoints.dns("dns2.ocsguy.local") == ("127.0.0.1", 5302)
    assert config.endpoints.dns("fe1.ocsguy.local") is None
    account = config.settings.credential("lync")
    assert account.username == "OCSGUY\\svc"
    assert account.password.reveal() == f"{PLANTED}:with:colons"
    assert PLANTED not in repr(config) + str(account) + f"{account.password}"
    assert [p.name for p in config.policy.holders("declare")] == ["Rita Berg", "Dana Ito"]
    assert config.policy.by_slack("TPRACTICE", "UOLAF") is None


@pytest.mark.parametrize("name", ["estate", "policy", "endpoints"])
def test_the_examples_are_sound(name: str, tmp_path: Path) -> None:
    text = (CONFIG / f"{name}.example.toml").read_text("utf-8")
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "example-root.pem").write_text("a certificate")
    path = tmp_path / f"{name}.toml"
    path.write_text(text)
    loaders: dict[str, Callable[[Path], object]] = {
        "estate": load_estate,
        "policy": load_policy,
        "endpoints": load_endpoints,
    }
    assert loaders[name](path)


def test_the_examples_fit_each_other(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "example-root.pem").write_text("a certificate")
    for name in ("estate", "policy", "endpoints"):
        (tmp_path / f"{name}.toml").write_text((CONFIG / f"{name}.example.toml").read_text("utf-8"))
    env = {f"LYNC_DR_{n.upper()}": str(tmp_path / f"{n}.toml") for n in ("estate", "policy", "endpoints")}
    env |= {"LYNC_DR_CREDENTIAL_WINRM": "a:b", "LYNC_DR_CREDENTIAL_DNS_ADMIN": "c:d"}
    config = load_all(load_settings(env))
    assert config.estate.pair[0].ask_person is True  # the policy's wish, laid over the estate
    assert config.estate.pair[0].rto_s == 900


FILES: list[tuple[str, str, str, str]] = [
    ("estate", 'edition = "SE"', 'editon = "SE"', "unknown key pool #1.editon; did you mean edition?"),
    ("estate", 'edition = "SE"', 'edition = "XE"', "pool #1.edition: expected 'SE' or 'EE'; found 'XE'."),
    ("estate", "users = 4212", 'users = "many"', "pool #1.users: expected a valid integer; found 'many'."),
    ("estate", 'cms_home = "fe1"\n', "", "cms_home is missing; expected text."),
    ("estate", "[timing.cms]", "[timing.cmss]", "unknown key timing.cmss; did you mean cms?"),
    ("estate", 'pools = ["fe1", "fe2"]', 'pools = ["fe1", "fe3"]', "pair names pool 'fe3', which is not declared"),
    ("estate", 'name = "fe1"', 'name = "fe1', "is not TOML"),
    ("policy", "quorum = 2", "quorum = 1", "quorum: expected greater than or equal to 2; found 1."),
    ("policy", "quorum = 2", "quorun = 2", "unknown key quorun; did you mean quorum?"),
    (
        "policy",
        'zone = "UTC"',
        'zone = "Mars/Base"',
        "zone: expected a time zone such as Europe/London",
    ),
    (
        "policy",
        '"C0HOME"',
        '"#lync-dr"',
        "home_channel: expected text that matches",
    ),
    ("policy", '"audit", "declare"', '"adit"', "persons #4.roles #3: expected 'watch'"),
    ("policy", 'user = "UBO"', 'user = "URITA"', "persons rita and bo share one Slack id; one human is one entry"),
    ("endpoints", "https://127.0.0.1:5910", "http://127.0.0.1:5910", "hosts.fe1.ocsguy.local.url: expected an address"),
    ("endpoints", 'credential = "lync"', f'password = "{PLANTED}"', "unknown key hosts.fe1.ocsguy.local.password"),
    ("endpoints", 'credential = "lync"', f'credential = "svc:{PLANTED}"', "not an account or a password"),
    ("endpoints", "https://127", f"https://svc:{PLANTED}@127", "an address holds no account"),
    ("endpoints", 'transport = "ntlm"', 'transport = "ssh"', "expected 'ntlm', 'kerberos'"),
    ("endpoints", '"127.0.0.1:5301"', '"dns1:53"', "expected an IP address and a port such as 10.0.0.53:53"),
    ("endpoints", 'ca = "ca.pem"', 'ca = "root.pem"', "and there is no such file"),
    ("endpoints", 'ca = "ca.pem"', f'ca = "ca.pem"\nca_sha256 = "{"0" * 64}"', "pins another CA"),
]


@pytest.mark.parametrize(("name", "old", "new", "sentence"), FILES, ids=[f"{f[0]}:{f[3][:40]}" for f in FILES])
def test_a_wrong_file_is_refused_in_a_sentence(name: str, old: str, new: str, sentence: str, tmp_path: Path) -> None:
    env = practised(tmp_path)
    source = Path(env[f"LYNC_DR_{name.upper()}"])
    text = source.read_text("utf-8")
    assert old in text
    wrong = tmp_path / f"wrong-{name}.toml"
    wrong.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as refused:
        load_all(load_settings({**env, f"LYNC_DR_{name.upper()}": str(wrong)}))
    said = str(refused.value)
    assert str(wrong) in said
    assert sentence in said
    assert PLANTED not in said
    assert "\n" not in said
    assert refused.value.__cause__ is None  # nothing behind it that a traceback would print


ENVIRONMENTS: list[tuple[dict[str, str], str]] = [
    ({"LYNC_DR_ESTAT": "x"}, "LYNC_DR_ESTAT is no setting; did you mean LYNC_DR_ESTATE?"),
    ({"LYNC_DR_LEASE_S": "1.5"}, "LYNC_DR_LEASE_S: expected whole seconds from 1 to"),
    ({"SLACK_BOT_TOKEN": f"xoxp-{PLANTED}"}, "SLACK_BOT_TOKEN: expected a token that begins with xoxb-"),
    ({"LYNC_DR_REDIS_URL": f"{PLANTED}@host"}, "LYNC_DR_REDIS_URL: expected redis://host:6379"),
    ({"SLACK_API_URL": "http://example.com/"}, "SLACK_API_URL: expected an https address"),
    ({"SLACK_APP_TOKEN_FILE": "/no/such"}, "SLACK_APP_TOKEN_FILE names /no/such, which cannot be read"),
    ({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_BOT_TOKEN_FILE": "/x"}, "are both set; keep one of them"),
    ({"LYNC_DR_REDIS_URL": f"redis://:{PLANTED}@host:many"}, "LYNC_DR_REDIS_URL: expected redis://host:6379"),
    ({"LYNC_DR_STATE": __file__}, "LYNC_DR_STATE: expected a directory"),
    ({"LYNC_DR_HTTP_LISTEN": "foo"}, "LYNC_DR_HTTP_LISTEN: expected host:port such as 127.0.0.1:8080"),
    ({"LYNC_DR_HTTP_LISTEN": "127.0.0.1:99999"}, "port from 1 to 65535; found '127.0.0.1:99999'"),
    ({"LYNC_DR_WEAK_STORE": "yes"}, "LYNC_DR_WEAK_STORE: expected ok"),
]


WAYS_OUT = [
    (
        f'[pager]\nurl = "https://events.example.com/{PLANTED}"',
        "pager.url: expected the name of a secret",
    ),
    (f'[mail]\nhost = "m"\nsender = "a@b"\ncredential = "svc:{PLANTED}"\nstarttls = true', "mail.credential"),
    ('[mail]\nhost = "m"\nsender = "a@b"\ncredential = "smtp"', "a credential without starttls = true would"),
]


@pytest.mark.parametrize(("table", "sentence"), WAYS_OUT, ids=[s[:20] for _, s in WAYS_OUT])
def test_a_policy_holds_no_secret_and_sends_none_in_the_open(table: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f"{(CONFIG / 'policy.practice.toml').read_text('utf-8')}\n{table}\n")
    with pytest.raises(ConfigError) as refused:
        load_policy(path)
    assert sentence in str(refused.value)
    assert PLANTED not in str(refused.value)


def test_the_address_of_a_pager_is_one_and_is_not_repeated() -> None:
    settings = load_settings({"LYNC_DR_SECRET_PAGER": f"ftp://{PLANTED}"})
    with pytest.raises(ConfigError, match="LYNC_DR_SECRET_PAGER: expected an https address") as refused:
        web_address(settings, "pager")
    assert PLANTED not in str(refused.value)


@pytest.mark.parametrize(
    ("argv", "env", "code", "sentence"),
    [
        (["bot"], {"LYNC_DR_HTTP_LISTEN": "foo"}, 2, "LYNC_DR_HTTP_LISTEN: expected"),
        (["bot"], {}, 2, "SLACK_BOT_TOKEN is missing"),
        (["store", "--port", "99999"], {}, 2, "99999 is not in the range"),
        (["keys", "init", "x", "--kind", "cli"], {"LYNC_DR_STATE": "/dev/null/x"}, 1, "/dev/null/x cannot be read or"),
    ],
)
def test_a_wrong_setting_ends_with_its_code_and_one_sentence(
    argv: list[str], env: dict[str, str], code: int, sentence: str
) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LYNC_DR_", "SLACK_"))}
    said = subprocess.run(
        [sys.executable, "-m", "cli", *argv], cwd=CONFIG.parent, env={**clean, **env}, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert said.returncode == code
    assert sentence in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(("env", "sentence"), ENVIRONMENTS, ids=[s[:30] for _, s in ENVIRONMENTS])
def test_a_wrong_environment_is_refused_in_a_sentence(env: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings(env)
    assert sentence in str(refused.value)
    assert PLANTED not in str(refused.value)


def test_missing_things_are_named_with_the_way_to_mend_them(tmp_path: Path) -> None:
    env = practised(tmp_path)
    for change, sentence in (
        ({"LYNC_DR_ESTATE": "/no/such.toml"}, "Set LYNC_DR_ESTATE to the estate file"),
        ({"LYNC_DR_CREDENTIAL_LYNC": ""}, "neither LYNC_DR_CREDENTIAL_LYNC nor LYNC_DR_CREDENTIAL_LYNC_FILE is set"),
        ({"LYNC_DR_CREDENTIAL_LYNC": PLANTED}, "expected one line user:password; found another form"),
    ):
        with pytest.raises(ConfigError) as refused:
            load_all(load_settings({**env, **change}))
        assert sentence in str(refused.value)
        assert PLANTED not in str(refused.value)
    with pytest.raises(ConfigError, match="SLACK_BOT_TOKEN is missing: set SLACK_BOT_TOKEN, or SLACK_BOT_TOKEN_FILE"):
        need(load_settings(env), "slack_bot_token")


def test_endpoints_must_cover_the_estate(tmp_path: Path) -> None:
    settings = load_settings(practised(tmp_path))
    config = load_all(settings)
    without = {h: e for h, e in config.endpoints.hosts.items() if not h.startswith("fe2")}
    with pytest.raises(ConfigError, match=r'there is no \[hosts."fe2.ocsguy.local"\], which pool fe2 .* needs'):
        check_together(config.estate, config.endpoints.model_copy(update={"hosts": without}), settings)


def test_secrets_come_from_files_and_do_not_show_themselves(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"xoxb-{PLANTED}\n")
    settings = load_settings({"SLACK_BOT_TOKEN_FILE": str(tmp_path / "token"), "LYNC_DR_SECRET_PAGER": PLANTED})
    assert need(settings, "slack_bot_token").reveal() == f"xoxb-{PLANTED}"
    assert settings.secret("pager") == Secret(PLANTED)
    assert PLANTED not in repr(settings) + str(settings)
    for escape in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="not written anywhere"):
            escape(settings.slack_bot_token)


def test_settings_have_the_names_that_processes_pass_on(tmp_path: Path) -> None:
    settings = load_settings({"LYNC_DR_STATE": str(tmp_path), "LYNC_DR_LEASE_S": "2", "LYNC_DR_APPROVAL_EXPIRY_S": "4"})
    assert (settings.lease_s, settings.approval_expiry_s, settings.relook_s) == (2, 4, 10)
    assert settings.store_url == f"unix://{tmp_path}/store.sock"
    shorter = load_all(load_settings({**practised(tmp_path), "LYNC_DR_APPROVAL_EXPIRY_S": "4"}))
    assert shorter.policy.approval_expiry_s == 4


def test_the_digests_cover_what_decides_and_nothing_else(tmp_path: Path) -> None:
    config = load_all(load_settings(practised(tmp_path)))
    before = config.digests("fe1")
    assert before == config.digests("fe2")  # one pair, one slice

    def with_person(**change: object) -> object:
        first, *rest = config.policy.persons
        policy = config.policy.model_copy(update={"persons": (first.model_copy(update=change), *rest)})
        return config_digests(config.estate, config.endpoints, policy, "fe1").policy

    assert with_person(roles=frozenset({"watch"})) != before.policy
    assert with_person(mobile="+44 1", mail="new@ocsguy.local", order=9) == before.policy
    moved = config.endpoints.hosts["fe2.ocsguy.local"].model_copy(update={"url": "https://10.0.0.1:5986/wsman"})
    endpoints = config.endpoints.model_copy(update={"hosts": {**config.endpoints.hosts, "fe2.ocsguy.local": moved}})
    assert config_digests(config.estate, endpoints, config.policy, "fe1").endpoints != before.endpoints
    # Another CA in the same place is another endpoint; the same CA in another place is not.
    (tmp_path / "ca.pem").write_text("another certificate")
    assert load_all(config.settings).digests("fe1").endpoints != before.endpoints
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert load_all(load_settings(practised(elsewhere))).digests("fe1").endpoints == before.endpoints
    assert slices(config.estate, config.endpoints, config.policy, "fe9") == {
        "estate": {},
        "endpoints": {},
        "policy": {},
    }


def test_every_variable_is_written_down() -> None:
    page = (CONFIG.parent / "docs" / "configuration.md").read_text("utf-8")
    source = (CONFIG / "settings.py").read_text("utf-8")
    names = set(re.findall(r"(?:LYNC_DR|SLACK)_[A-Z_]+[A-Z]", source)) - {"LYNC_DR_CREDENTIAL", "LYNC_DR_SECRET"}
    assert len(names) > 15
    assert {n.removesuffix("_FILE") for n in names} - set(re.findall(r"[A-Z_]+[A-Z]", page)) == set()
