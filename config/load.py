"""The one module that reads files and the environment. A wrong one is refused in a sentence; nothing is guessed.

Every refusal names the file, the key, what was expected and what was found. Values that might be a secret written
into the wrong place are not repeated.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import rfc8785
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.endpoints import Endpoint, Endpoints
from config.secret import Credential, Secret
from config.settings import Settings
from incident.policy import ConfigDigests, Policy
from playbooks.estate import Estate, Pair

M = TypeVar("M", bound=BaseModel)


class ConfigError(Exception):
    """A configuration that is refused: one sentence for the person who has to mend it, exit code 2."""


# Files.


def load_estate(path: Path) -> Estate:
    """The estate file."""
    return _model(Estate, path)


def load_policy(path: Path) -> Policy:
    """The policy file: who may do what."""
    return _model(Policy, path)


def load_endpoints(path: Path) -> Endpoints:
    """The endpoints file. CA and client certificate files are named relative to it, must exist, and a CA file is
    known by the SHA-256 of its content from then on."""
    read = _model(Endpoints, path)
    return read.model_copy(update={"hosts": {name: _with_files(path, name, one) for name, one in read.hosts.items()}})


def _with_files(path: Path, name: str, one: Endpoint) -> Endpoint:
    found: dict[str, str] = {}
    for key in ("ca", "client_cert", "client_key"):
        given = getattr(one, key)
        if given is None:
            continue
        place = (path.parent / given).absolute()
        if not place.is_file():
            raise ConfigError(f"{path}: hosts.{name}.{key} names {place}, and there is no such file.")
        found[key] = str(place)
    if "ca" in found:
        seal = hashlib.sha256(Path(found["ca"]).read_bytes()).hexdigest()
        if one.ca_sha256 not in ("", seal):
            raise ConfigError(
                f"{path}: hosts.{name}.ca_sha256 pins another CA than the one in {found['ca']}, whose SHA-256 is "
                f"{seal}. Nothing is sent to this host until the two agree."
            )
        found["ca_sha256"] = seal
    return one.model_copy(update=found)


def check_together(estate: Estate, endpoints: Endpoints, settings: Settings) -> None:
    """Refuses endpoints that leave out a host the plans need, and accounts whose secret is missing."""
    needed = {p.front_end: f"pool {p.name}" for p in estate.pool if estate.pair_of(p.name)}
    needed |= {s.fqdn: f"DNS server {s.name}" for s in estate.dns_server}
    for host, what in needed.items():
        if host not in endpoints.hosts:
            raise ConfigError(
                f'{settings.endpoints}: there is no [hosts."{host}"], which {what} of {settings.estate} needs'
                f"{_near(host, endpoints.hosts)}."
            )
    for server in estate.dns_server:
        if endpoints.dns(server.fqdn) is None:
            raise ConfigError(
                f"{settings.endpoints}: hosts.{server.fqdn}.dns is missing; expected the address at which "
                f"{server.name} answers questions, such as 10.0.0.53:53."
            )
    for reference in endpoints.credentials():
        settings.credential(reference)


def under_policy(estate: Estate, policy: Policy) -> Estate:
    """The estate with each pair's RTO target and wish for a person's confirmation as the policy has them."""

    def ruled(pair: Pair) -> Pair:
        if not any(set(p.pools) == set(pair.pools) for p in policy.pairs):
            return pair
        rule = policy.pair(*pair.pools)
        return pair.model_copy(update={"rto_s": rule.rto_s, "ask_person": rule.confirm_by_person})

    return estate.model_copy(update={"pair": tuple(ruled(p) for p in estate.pair)})


class Configuration(typing.NamedTuple):
    """Everything a process is given, loaded and checked together."""

    settings: Settings
    estate: Estate
    endpoints: Endpoints
    policy: Policy

    def slices(self, pool: str) -> dict[str, Any]:
        """What of the three files concerns the pair of ``pool``: the digest of its plan covers this."""
        return slices(self.estate, self.endpoints, self.policy, pool)

    def digests(self, pool: str) -> ConfigDigests:
        """The digests of this process's files for the pair of ``pool``."""
        return config_digests(self.estate, self.endpoints, self.policy, pool)


def load_all(settings: Settings) -> Configuration:
    """Estate, endpoints and policy that ``settings`` names, the estate under the policy's rules, checked together."""
    policy = ruled_by(load_policy(settings.policy), settings)
    estate = under_policy(load_estate(settings.estate), policy)
    for pair in policy.pairs:
        if not any(set(pair.pools) == set(p.pools) for p in estate.pair):
            raise ConfigError(
                f"{settings.policy}: pairs names {' and '.join(pair.pools)}, which is no pair of {settings.estate}."
            )
    endpoints = load_endpoints(settings.endpoints)
    check_together(estate, endpoints, settings)
    return Configuration(settings, estate, endpoints, policy)


def ruled_by(policy: Policy, settings: Settings) -> Policy:
    """The policy with the short times that rehearsals and tests set; its digest says that they are other times."""
    short = {
        name: value
        for name in ("approval_expiry_s", "execution_window_s")
        if (value := getattr(settings, name)) is not None
    }
    return policy.model_copy(update=short) if short else policy


# Digests.


def slices(estate: Estate, endpoints: Endpoints, policy: Policy, pool: str) -> dict[str, Any]:
    """What of estate, endpoints and policy concerns the pair of ``pool``, as JSON data."""
    pair = estate.pair_of(pool)
    if pair is None:
        return {"estate": {}, "endpoints": {}, "policy": {}}
    hosts = [estate.the_pool(name).front_end for name in pair.pools] + [s.fqdn for s in estate.dns_server]
    people = [
        {
            "id": p.id,
            "slack": sorted([s.team, s.user] for s in p.slack),
            "roles": sorted(p.roles),
            "shared": p.shared,
        }
        for p in sorted(policy.persons, key=lambda p: p.id)
    ]
    rules = policy.model_dump(
        mode="json",
        include={"team", "enterprise", "quorum", "approval_expiry_s", "execution_window_s", "recheck_after_s",
                 "one_time_code", "wrong_codes", "approver_group"},
    )  # fmt: skip
    rule = policy.pair(*pair.pools).model_dump(mode="json", exclude={"pools"})
    # Telephone numbers, mail addresses and the order of calling decide nothing, so they void nothing.
    return {
        "estate": estate.slice_of(pair),
        "endpoints": endpoints.slice_of(hosts),
        "policy": {**rules, "pair": {**rule, "pools": sorted(pair.pools)}, "persons": people},
    }


def config_digests(estate: Estate, endpoints: Endpoints, policy: Policy, pool: str) -> ConfigDigests:
    """SHA-256 of each slice, and of the playbooks' own source text."""
    parts = slices(estate, endpoints, policy, pool)
    seals = {name: hashlib.sha256(rfc8785.dumps(part)).hexdigest() for name, part in parts.items()}
    return ConfigDigests(**seals, playbook=playbook_digest())


def playbook_digest() -> str:
    """SHA-256 over the source files of the playbooks, by name and content."""
    import playbooks

    whole = hashlib.sha256()
    for source in sorted(Path(playbooks.__path__[0]).glob("*.py")):
        whole.update(source.name.encode() + b"\0" + source.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return whole.hexdigest()


# The environment.

_PLACES = {
    "state": "LYNC_DR_STATE",
    "keys": "LYNC_DR_KEYS",
    "estate": "LYNC_DR_ESTATE",
    "endpoints": "LYNC_DR_ENDPOINTS",
    "policy": "LYNC_DR_POLICY",
}
_TEXTS = {
    "redis_url": "LYNC_DR_REDIS_URL",
    "slack_api_url": "SLACK_API_URL",
    "http_listen": "LYNC_DR_HTTP_LISTEN",
}
_SECRETS = {
    "slack_bot_token": "SLACK_BOT_TOKEN",
    "slack_app_token": "SLACK_APP_TOKEN",
    "slack_signing_secret": "SLACK_SIGNING_SECRET",
}
_NOT_SETTINGS = ("LYNC_DR_CREDENTIAL_", "LYNC_DR_SECRET_", "LYNC_DR_REQUIRE_", "LYNC_DR_TEST_")
_LONGEST_S = 31 * 86_400


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``environment``, or from this process's own. An empty value counts as not given."""
    env = dict(os.environ if environment is None else environment)
    given: dict[str, Any] = {"environment": env}
    times = {f.name: f"LYNC_DR_{f.name.upper()}" for f in fields(Settings) if f.name.endswith("_s")}
    _refuse_misspelt(env, {*_PLACES.values(), *_TEXTS.values(), *times.values(), "LYNC_DR_WEAK_STORE"})
    given |= {f: Path(env[name]) for f, name in _PLACES.items() if env.get(name)}
    given |= {f: env[name] for f, name in _TEXTS.items() if env.get(name)}
    given |= {f: secret for f, name in _SECRETS.items() if (secret := _secret(env, name)) is not None}
    given |= {f: _seconds(name, env[name]) for f, name in times.items() if env.get(name)}
    if weak := env.get("LYNC_DR_WEAK_STORE"):
        if weak != "ok":
            raise ConfigError(f"LYNC_DR_WEAK_STORE: expected ok, or nothing at all; found {weak!r}.")
        given["weak_store"] = True
    _forms(given)
    return Settings(**given)


def _forms(given: Mapping[str, Any]) -> None:
    """Refuses addresses and tokens of the wrong form before anything is tried with them."""
    url = given.get("redis_url", "")
    if url and not (url.startswith(("redis://", "rediss://", "unix://")) and _port_is_sound(url)):
        shape = "redis://host:6379, rediss://host:6379 or unix:///path/to/socket"
        raise ConfigError(
            f"LYNC_DR_REDIS_URL: expected {shape}; found something else (not repeated: it may hold a password)."
        )
    if "state" in given and given["state"].exists() and not given["state"].is_dir():
        raise ConfigError(f"LYNC_DR_STATE: expected a directory; {given['state']} is something else.")
    api = given.get("slack_api_url", "")
    if api and not api.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise ConfigError("SLACK_API_URL: expected an https address (plain http only on this machine).")
    listen = given.get("http_listen", "")
    _, colon, port = listen.rpartition(":")
    if listen and not (colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConfigError(
            f"LYNC_DR_HTTP_LISTEN: expected host:port such as 127.0.0.1:8080, port from 1 to 65535; found {listen!r}."
        )
    for field_name, prefix in (("slack_bot_token", "xoxb-"), ("slack_app_token", "xapp-")):
        token = given.get(field_name)
        if token and not token.reveal().startswith(prefix):
            raise ConfigError(
                f"{_SECRETS[field_name]}: expected a token that begins with {prefix}; found another kind."
            )


def _port_is_sound(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _refuse_misspelt(env: Mapping[str, str], known: set[str]) -> None:
    for name in env:
        if not name.startswith("LYNC_DR_") or name in known or name.startswith(_NOT_SETTINGS):
            continue
        if near := difflib.get_close_matches(name, known, n=1, cutoff=0.8):
            raise ConfigError(f"{name} is no setting; did you mean {near[0]}? Unset it or correct its name.")


def _seconds(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _LONGEST_S:
        raise ConfigError(f"{name}: expected whole seconds from 1 to {_LONGEST_S}; found {text!r}.")
    return int(text)


def _secret(env: Mapping[str, str], name: str) -> Secret | None:
    """The secret under ``name``, or in the file that ``name``_FILE names."""
    there, file = env.get(name), env.get(f"{name}_FILE")
    if there and file:
        raise ConfigError(f"{name} and {name}_FILE are both set; keep one of them.")
    if there:
        return Secret(there.strip())
    if not file:
        return None
    try:
        text = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as trouble:
        why = trouble.strerror if isinstance(trouble, OSError) else "it is not text"
        raise ConfigError(f"{name}_FILE names {file}, which cannot be read: {why}.") from None
    if not text:
        raise ConfigError(f"{name}_FILE names {file}, which is empty.")
    return Secret(text)


def _variable(kind: str, reference: str) -> str:
    return f"LYNC_DR_{kind}_{reference.upper().replace('-', '_')}"


def credential_from(env: Mapping[str, str], reference: str) -> Credential:
    """See ``Settings.credential``."""
    name = _variable("CREDENTIAL", reference)
    secret = _secret(env, name)
    if secret is None:
        raise ConfigError(
            f"The account {reference!r} is named in a configuration file, but neither {name} nor {name}_FILE is set; "
            "expected one line user:password."
        )
    user, colon, password = secret.reveal().partition(":")
    if not colon or not user or not password or "\n" in password:
        raise ConfigError(f"{name}: expected one line user:password; found another form (not repeated here).")
    return Credential(user, Secret(password))


def secret_named(env: Mapping[str, str], reference: str) -> Secret:
    """See ``Settings.secret``."""
    name = _variable("SECRET", reference)
    secret = _secret(env, name)
    if secret is None:
        raise ConfigError(
            f"The secret {reference!r} is named in a configuration file, but neither {name} nor {name}_FILE is set."
        )
    return secret


def web_address(settings: Settings, reference: str) -> str:
    """The secret called ``reference``, which must be an address to post to; https, or plain http on this machine only.
    Raises ConfigError, which does not repeat it."""
    text = settings.secret(reference).reveal()
    if not text.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
        name = _variable("SECRET", reference)
        raise ConfigError(f"{name}: expected an https address; found something else (not repeated here).")
    return text


def need(settings: Settings, field_name: str) -> Secret:
    """The Slack token or signing secret ``field_name``, or a sentence that says which variable is missing."""
    secret = getattr(settings, field_name)
    if isinstance(secret, Secret) and secret:
        return secret
    name = _SECRETS[field_name]
    raise ConfigError(f"{name} is missing: set {name}, or {name}_FILE to a file that holds it.")


# From TOML to a model, and from a model's errors to a sentence.


def _model(model: type[M], path: Path) -> M:
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file. {_where_from(model)}") from None
    except (OSError, UnicodeDecodeError) as trouble:
        why = trouble.strerror if isinstance(trouble, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path} cannot be read: {why}.") from None
    except tomllib.TOMLDecodeError as trouble:
        raise ConfigError(f"{path} is not TOML: {trouble}.") from None
    try:
        return model.model_validate(data)
    except ValidationError as wrong:
        raise ConfigError(_sentence(model, path, wrong)) from None


def _where_from(model: type[BaseModel]) -> str:
    name = {Estate: "estate", Policy: "policy", Endpoints: "endpoints"}.get(model, model.__name__)
    return f"Set LYNC_DR_{name.upper()} to the {name} file; config/{name}.example.toml explains it."


def _sentence(model: type[BaseModel], path: Path, wrong: ValidationError) -> str:
    found = wrong.errors(include_url=False)
    # A misspelt key also makes the right one "missing"; the misspelling is the better news.
    found.sort(key=lambda e: e["type"] != "extra_forbidden")
    more = f" ({len(found) - 1} more after this one.)" if len(found) > 1 else ""
    return f"{path}: {_one(model, found[0])}{more}"


def _one(model: type[BaseModel], error: ErrorDetails) -> str:
    where = "".join(f" #{p + 1}" if isinstance(p, int) else f".{p}" for p in error["loc"]).lstrip(".")
    if error["type"] == "extra_forbidden":
        home = _model_at(model, error["loc"][:-1])
        near = _near(str(error["loc"][-1]), home.model_fields if home else {})
        return f"unknown key {where}{near}{'?' if near else '.'}"
    if error["type"] == "missing":
        return f"{where} is missing; expected {_wanted(model, error['loc'])}."
    if error["type"] == "value_error":
        text = error["msg"].removeprefix("Value error, ")
        return f"{where}: {text}." if where else f"{text}."
    expected = error["msg"].removeprefix("Input should be ").replace("String should match pattern", "text that matches")
    return f"{where}: expected {expected[:1].lower() + expected[1:]}; found {_shown(error)}."


def _shown(error: ErrorDetails) -> str:
    if any(isinstance(p, str) and p in ("credential", "url", "user", "password", "token") for p in error["loc"]):
        return "something else (not repeated: it may be a secret)"
    shown = repr(error["input"])
    return shown if len(shown) <= 60 else f"{shown[:57]}…"


def _near(name: str, known: Mapping[str, Any] | set[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}" if near else ""


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model that describes the table at ``loc``."""
    here: Any = model
    for part in loc:
        if isinstance(here, type) and issubclass(here, BaseModel) and isinstance(part, str):
            field = here.model_fields.get(part)
            here = field.annotation if field else None
        else:
            here = _inside(here)
        here = _model_in(here) or here
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _inside(annotation: Any) -> Any:
    arguments = [a for a in typing.get_args(annotation) if a is not Ellipsis]
    return arguments[-1] if arguments else None


def _model_in(annotation: Any) -> Any:
    """The model in ``Model | None``."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next((a for a in typing.get_args(annotation) if isinstance(a, type) and issubclass(a, BaseModel)), None)
    return None


def _wanted(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    home = _model_at(model, loc[:-1])
    field = home.model_fields.get(str(loc[-1])) if home else None
    if field is None:
        return "a value"
    annotation: Any = field.annotation
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(repr(a) for a in typing.get_args(annotation))
    if typing.get_origin(annotation) in (tuple, list):
        return "a list"
    names = {str: "text", int: "a whole number", bool: "true or false"}
    return names.get(annotation, "a table" if isinstance(annotation, type) else "a value")
