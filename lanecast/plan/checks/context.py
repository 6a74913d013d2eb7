"""What the checks share: the plan, its document, and how a mistake is worded."""

from __future__ import annotations

from dataclasses import dataclass

from lanecast.plan.layout import SiteLayout, preferred_uplinks, uplink_router
from lanecast.plan.model import Feed, Plan, Relay, Site, Subscriber
from lanecast_relay.config.document import Document, PathKey, Problem, nearest


@dataclass(frozen=True, slots=True)
class CheckContext:
    """One plan under check."""

    plan: Plan
    document: Document

    def error(self, message: str, *path: PathKey, related: tuple[PathKey, ...] | None = None) -> Problem:
        """A mistake at a place of the plan."""
        return self.document.problem(path, message, related=related)

    def warning(self, message: str, *path: PathKey) -> Problem:
        """Something that is allowed and seldom meant."""
        return self.document.problem(path, message, severity="warning")

    def relays(self) -> dict[str, tuple[str, Relay]]:
        """Every relay by name, with its site."""
        return {name: (site, relay) for site, held in self.plan.sites.items() for name, relay in held.relays.items()}

    def layout(self, site: str) -> SiteLayout:
        """Where things are at a site."""
        return SiteLayout(site, self.plan.sites[site], self.plan)

    def feed_of_line(self, feed_line: str) -> tuple[str, Feed | None, str]:
        """The feed's name, the feed if there is one, and the line's name of ``feed.line``."""
        name, _, line = feed_line.partition(".")
        return name, self.plan.feeds.get(name), line

    def relays_carrying(self, subscriber: Subscriber, feed: str) -> list[str]:
        """A subscriber's relays that carry a feed."""
        relays = self.relays()
        return [name for name in subscriber.relays if feed in relays[name][1].feeds]


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name that nothing has."""

    kind: str
    name: str
    known: tuple[str, ...]
    """The names of its kind, sorted."""
    path: tuple[PathKey, ...]
    is_key: bool = False
    """Whether the name is a key of a mapping."""
    replacements: tuple[str, ...] = ()
    """What could stand at the place, where that is more than the name; empty: the names of its kind."""

    def problem(self, context: CheckContext) -> Problem:
        """The mistake, with the nearest name that something has."""
        hint = nearest(self.name, list(self.known)) or f" (known: {', '.join(self.known) or 'none'})"
        return context.error(f"no {self.kind} is called {self.name}{hint}", *self.path)


def relay_uplink(site: Site, relay: Relay) -> str:
    """The uplink by which a relay's copies leave."""
    return relay.uplink or preferred_uplinks(site)[0]


def router_of_uplink(site: Site, uplink: str) -> str:
    """The router that an uplink is on; names have been checked."""
    return uplink_router(site, uplink)
