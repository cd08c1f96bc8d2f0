"""What is built in the practised world: two sites, two Standard Edition pools, an Edge pool, test users.

The world of the article "Deploying Lync 2013, part 2" (kptheocsguy.wordpress.com, 2012-11-05).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DOMAIN = "ocsguy.local"
SIMPLE_NAMES = ("meet", "dialin", "admin", "lyncdiscover", "lyncdiscoverinternal")
TTL_S = 300


@dataclass(frozen=True)
class Place:
    """One site: its Standard Edition pool (which is one machine with SQL inside), address, users and Edge pools."""

    name: str
    pool: str
    address: str
    users: int
    dns: str
    edges: tuple[str, ...] = ()


@dataclass(frozen=True)
class World:
    """All of it. `edges` says where each Edge pool's next hop is at the beginning; `cms` where the CMS is."""

    places: tuple[Place, ...]
    cms: str
    edges: Mapping[str, str]
    test_users: Mapping[str, str]
    paired: bool = True
    extra_hosts: Mapping[str, str] = field(default_factory=dict)

    def place(self, name: str) -> Place:
        """A site by its name, in any case; `KeyError` names the sites there are."""
        for place in self.places:
            if place.name.lower() == name.lower():
                return place
        raise KeyError(f"no site {name!r}; there are {', '.join(p.name for p in self.places)}")

    def other(self, place: Place) -> Place:
        """The partner site."""
        return next(p for p in self.places if p != place)

    def of_pool(self, pool: str) -> Place | None:
        """The site of a pool, if there is such a pool."""
        return next((p for p in self.places if p.pool == pool.lower()), None)

    def of_address(self, address: str) -> Place | None:
        """The site whose Front End has that address."""
        return next((p for p in self.places if p.address == address), None)


_FE1, _FE2 = f"fe1.{DOMAIN}", f"fe2.{DOMAIN}"
_EDGE1 = f"edge1.{DOMAIN}"

OCSGUY = World(
    places=(
        Place("London", _FE1, "10.10.0.11", 4212, f"dns1.{DOMAIN}"),
        Place("Leeds", _FE2, "10.20.0.11", 3106, f"dns2.{DOMAIN}", (_EDGE1,)),
    ),
    cms=_FE1,
    edges={_EDGE1: _FE1},
    test_users={f"sip:probe1@{DOMAIN}": _FE1, f"sip:probe2@{DOMAIN}": _FE2},
    extra_hosts={"dns1": "10.10.0.53", "dns2": "10.20.0.53", "edge1": "10.20.0.20"},
)
