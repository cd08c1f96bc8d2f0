"""What can be made to go wrong on Slack's side, ordered over the control interface."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Planned(BaseModel):
    """A fault of one Web API method (``*`` for all), for the next ``count`` calls."""

    model_config = ConfigDict(extra="forbid")

    method: str = "*"
    count: int = Field(default=1, ge=1)
    retry_after: int = Field(default=1, ge=1, description="whole seconds; for rate_limit")
    error: str = Field(default="internal_error", description="Slack's word; for api_error")
    seconds: float = Field(default=5.0, ge=0, description="for slow")


class Order(BaseModel):
    """One order to break or mend something; only the given keys change, ``clear`` mends everything first.

    ``down``: ``refuse`` closes the API's listening socket and every open connection, ``error`` answers 500,
    ``hang`` accepts and never answers. ``drop_reply``: the call takes effect and the connection is then cut.
    ``delivery_delay_s``: payloads reach the app this much late. ``lose_acks``: that many acknowledgements get
    lost on the way back. ``duplicate``: that many envelopes are delivered twice. ``disconnect``: Slack closes
    the sockets with this reason. ``drop_sockets``: the sockets die without a word.
    """

    model_config = ConfigDict(extra="forbid")

    clear: bool = False
    down: Literal["", "refuse", "error", "hang"] | None = None
    rate_limit: Planned | None = None
    api_error: Planned | None = None
    slow: Planned | None = None
    drop_reply: Planned | None = None
    delivery_delay_s: float | None = Field(default=None, ge=0)
    lose_acks: int | None = Field(default=None, ge=0)
    duplicate: int | None = Field(default=None, ge=0)
    disconnect: Literal["", "warning", "refresh_requested", "link_disabled", "too_many_websockets"] = ""
    drop_sockets: bool = False


class Faults:
    """The faults that are in force now."""

    def __init__(self) -> None:
        self.mend()

    def mend(self) -> None:
        """Mend everything."""
        self.down = ""
        self.planned: dict[str, list[Planned]] = {
            "rate_limit": [],
            "api_error": [],
            "slow": [],
            "drop_reply": [],
        }
        self.delivery_delay_s = 0.0
        self.lose_acks = 0
        self.duplicate = 0

    def obey(self, order: Order) -> None:
        """Take an order over (sockets and listeners are the server's part)."""
        if order.clear:
            self.mend()
        if order.down is not None:
            self.down = order.down
        for kind, planned in self.planned.items():
            if one := getattr(order, kind):
                planned.append(one.model_copy())
        for name in ("delivery_delay_s", "lose_acks", "duplicate"):
            if (value := getattr(order, name)) is not None:
                setattr(self, name, value)

    def due(self, kind: str, method: str) -> Planned | None:
        """Return the planned fault that strikes this call, and use up one of its strikes."""
        for one in self.planned[kind]:
            if one.method in ("*", method):
                one.count -= 1
                if one.count < 1:
                    self.planned[kind].remove(one)
                return one
        return None

    def shown(self) -> dict[str, object]:
        """Return what is in force, for the control interface."""
        planned = {kind: [one.model_dump() for one in some] for kind, some in self.planned.items() if some}
        return {
            "down": self.down,
            "delivery_delay_s": self.delivery_delay_s,
            "lose_acks": self.lose_acks,
            "duplicate": self.duplicate,
            **planned,
        }
