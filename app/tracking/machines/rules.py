"""The rules by which a hit counts as a machine's: what holds now, and what they begin with.

A picture that GoogleImageProxy or YahooMailProxy fetches counts as a person's opening, for they fetch when a person
opens the message; that is noted with the hit. Apple's proxy (a bare "Mozilla/5.0") fetches ahead of the person: it is a
machine.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)

from sqlalchemy import select

from app.core.extensions import db, settings
from app.tracking.machines.models import MachineRules

# Programs that fetch what a message holds before, or instead of, a person: link scanners, previews of chat apps,
# crawlers, and Apple's prefetching proxy.
DEFAULT_AGENTS = (
    "*bot", "*bot/*", "*bot-*", "*bot;*", "*bot)*", "*bots/*", "*bots;*", "*bots)*", "*crawler*", "*spider*", "*slurp*",
    "*preview*", "*scanner*", "*barracuda*", "*proofpoint*", "*mimecast*", "*symantec*", "*trendmicro*",
    "*forcepoint*", "*fireeye*", "*ironport*", "*zscaler*", "*safelinks*", "*urldefense*", "*cloudmark*",
    "*facebookexternalhit*", "*whatsapp*", "*telegram*", "*slack*", "Mozilla/5.0",
)  # fmt: skip
DEFAULT_ALL_LINKS_SECONDS = 5.0
# They fetch a picture because a person opened the message: noted, and counted as that person's.
IMAGE_PROXIES = r"GoogleImageProxy|YahooMailProxy"

# Why a hit is a machine's, as kept with it.
REASONS = ("head", "agent", "network", "sg_machine_open", "too fast", "trap", "all links")
IMAGE_PROXY = "image proxy"


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds now; `version` 0 is what the product begins with."""

    version: int
    agents: tuple[str, ...]
    networks: tuple[str, ...]
    too_fast_seconds: float
    all_links_seconds: float

    @property
    def agent_pattern(self) -> str | None:
        """The agents as one regular expression of PostgreSQL; None where there are none."""
        return _pattern(self.agents)

    def machines_among(self, addresses: Iterable[str | None]) -> list[str]:
        """Those of the addresses that lie in the networks. What is no IP address lies in none."""
        if not self.networks:
            return []
        ranges = _ranges(self.networks)
        return sorted({address for address in addresses if address and ranges.hold(address)})


def rules_in_force() -> Rules:
    """The newest version; configuration (`MACHINE_HIT_SECONDS=0`) may switch the too-fast rule off over it."""
    configured = settings().machine_hit_seconds
    own = db.session.scalar(select(MachineRules).order_by(MachineRules.id.desc()).limit(1))
    if own is None:
        return Rules(0, DEFAULT_AGENTS, (), configured, DEFAULT_ALL_LINKS_SECONDS)
    too_fast = own.too_fast_seconds if configured else 0.0
    return Rules(own.id, tuple(own.agents), tuple(own.networks), too_fast, own.all_links_seconds)


@lru_cache(maxsize=8)
def _pattern(agents: tuple[str, ...]) -> str | None:
    return "|".join(map(_one_pattern, agents)) or None


def _one_pattern(agent: str) -> str:
    """`*` stands for anything; without one at an end, the agent begins or ends there."""
    inner = ".*".join(re.sub(r"([^\w\s])", r"\\\1", part) for part in re.split(r"\*+", agent.strip("*")))
    return ("" if agent.startswith("*") else "^") + inner + ("" if agent.endswith("*") else "$")


class _Ranges:
    """Networks as sorted ranges of numbers, IPv4 and IPv6 apart."""

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network]) -> None:
        fours = collapse_addresses(one for one in networks if isinstance(one, IPv4Network))
        sixes = collapse_addresses(one for one in networks if isinstance(one, IPv6Network))
        self._ranges = {
            version: sorted((int(one.network_address), int(one.broadcast_address)) for one in some)
            for version, some in ((4, list(fours)), (6, list(sixes)))
        }

    def hold(self, address: str) -> bool:
        try:
            found: IPv4Address | IPv6Address = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        ranges = self._ranges[found.version]
        place = bisect_right(ranges, (int(found), 1 << 128)) - 1
        return place >= 0 and ranges[place][0] <= int(found) <= ranges[place][1]


@lru_cache(maxsize=8)
def _ranges(networks: tuple[str, ...]) -> _Ranges:
    return _Ranges([ip_network(one) for one in networks])
