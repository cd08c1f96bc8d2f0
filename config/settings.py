"""What one process is told by its environment: places, tokens by name, and waiting times. The names are the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.secret import Credential, Secret


@dataclass(frozen=True)
class Settings:
    """Settings of a process. Times in seconds. Every field stands in the environment under the name beside it."""

    state: Path = Path(".lync-dr")
    """LYNC_DR_STATE: private keys, copies, outbox. Keep it short: socket paths are limited to about 100 bytes."""
    keys: Path = Path("config/keys")
    """LYNC_DR_KEYS: public keys of all writers."""
    estate: Path = Path("config/estate.toml")
    """LYNC_DR_ESTATE."""
    endpoints: Path = Path("config/endpoints.toml")
    """LYNC_DR_ENDPOINTS."""
    policy: Path = Path("config/policy.toml")
    """LYNC_DR_POLICY."""
    redis_url: str = ""
    """LYNC_DR_REDIS_URL; empty: the embedded store's socket in the state directory."""
    weak_store: bool = False
    """LYNC_DR_WEAK_STORE=ok: accept a store that may forget. For rehearsals."""
    slack_api_url: str = ""
    """SLACK_API_URL; empty: Slack itself."""
    slack_bot_token: Secret = field(default_factory=lambda: Secret(""))
    """SLACK_BOT_TOKEN or SLACK_BOT_TOKEN_FILE."""
    slack_app_token: Secret = field(default_factory=lambda: Secret(""))
    """SLACK_APP_TOKEN or SLACK_APP_TOKEN_FILE; Socket Mode."""
    slack_signing_secret: Secret = field(default_factory=lambda: Secret(""))
    """SLACK_SIGNING_SECRET or SLACK_SIGNING_SECRET_FILE; HTTP mode."""
    http_listen: str = ""
    """LYNC_DR_HTTP_LISTEN, host:port: take requests over HTTP instead of Socket Mode."""
    lease_s: int = 15
    """LYNC_DR_LEASE_S: a hand that has not renewed its lease for so long counts as dead."""
    reconcile_s: int = 3
    """LYNC_DR_RECONCILE_S: how often the bot looks for a run without a hand."""
    relook_s: int = 10
    """LYNC_DR_RELOOK_S: pause between two surveys while a card is open."""
    fresh_s: int = 15
    """LYNC_DR_FRESH_S: a survey that ended no longer ago counts at the start of a run."""
    board_s: int = 10
    """LYNC_DR_BOARD_S: how often a running board is redrawn without news."""
    scan_s: int = 5
    """LYNC_DR_SCAN_S: how often heads are scanned in case a bell was lost."""
    sample_s: int = 60
    """LYNC_DR_SAMPLE_S: how often every pair is asked how its backup is, while no incident looks."""
    free_hand_s: int = 5
    """LYNC_DR_FREE_HAND_S: after so long without a worker the board says "no free hand"."""
    approval_expiry_s: int | None = None
    """LYNC_DR_APPROVAL_EXPIRY_S: in place of the policy's, for rehearsals and tests; part of the policy's digest."""
    execution_window_s: int | None = None
    """LYNC_DR_EXECUTION_WINDOW_S: likewise."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Where credentials and other secrets are looked up by reference, when they are needed."""

    @property
    def store_url(self) -> str:
        """The store to use: the one named, else the embedded store's socket."""
        return self.redis_url or f"unix://{(self.state / 'store.sock').absolute()}"

    def credential(self, reference: str) -> Credential:
        """The account called ``reference``: ``LYNC_DR_CREDENTIAL_<REFERENCE>`` or ``…_FILE``, one line
        ``user:password``. Raises ConfigError when it is missing or of another form."""
        from config.load import credential_from

        return credential_from(self.environment, reference)

    def secret(self, reference: str) -> Secret:
        """The secret called ``reference``: ``LYNC_DR_SECRET_<REFERENCE>`` or ``…_FILE``. Raises ConfigError."""
        from config.load import secret_named

        return secret_named(self.environment, reference)
