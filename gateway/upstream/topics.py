"""Where every message lives: `cb/1/{tenant}/{gw}/...`, built, taken apart and checked in this room only.

A gateway publishes below its own node and subscribes to its own requests and the platform's state, nothing else.
"""

import re
from dataclasses import dataclass

ROOT = "cb/1"  # product and contract major: another major is another tree
STREAMS = ("alarm", "summary", "obs", "tech")  # the numbered streams, in the order in which live rows are sent
BOX = "box"  # stands in the bed's place for alarms of the box itself
SITE = "site"  # stands in the bed's place for readings that belong to the site, such as a visitor's temperature

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ODD = re.compile(r"[^A-Za-z0-9_.-]")
_REPLY_CLIENT = re.compile(r"[a-z0-9-]{1,32}")


def checked_name(name: str, what: str) -> str:
    """`name` itself when it may stand as one topic level; ValueError otherwise (wildcards, slashes, blanks, length)."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{what} {name!r} cannot be a topic level: 1 to 64 of A-Z a-z 0-9 _ . - were expected")
    return name


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one gateway under one tenant. ValueError when either cannot be a topic level."""

    tenant: str
    gw: str

    def __post_init__(self) -> None:
        checked_name(self.tenant, "tenant")
        checked_name(self.gw, "gateway")

    @property
    def node(self) -> str:
        return f"{ROOT}/{self.tenant}/{self.gw}"

    @property
    def state(self) -> str:
        return f"{self.node}/state"

    @property
    def inventory(self) -> str:
        return f"{self.node}/inv"

    @property
    def health(self) -> str:
        return f"{self.node}/health"

    @property
    def requests(self) -> str:
        """The filter of everything a platform may ask."""
        return f"{self.node}/req/#"

    @property
    def platform_state(self) -> str:
        return platform_state(self.tenant)

    def event(self, stream: str, bed: str | None) -> str:
        """The live topic of a row: alarms, readings and summaries by bed, technical events on one topic.

        A bed whose id cannot be a topic level is written with `_` there: an odd name never holds back an alarm, and the
        message itself says the id as it is.
        """
        if stream == "tech":
            return f"{self.node}/evt/tech"
        place = bed or (SITE if stream == "obs" else BOX)
        return f"{self.node}/evt/{stream}/{place if _NAME.fullmatch(place) else _ODD.sub('_', place)[:64]}"

    def page(self, stream: str) -> str:
        return f"{self.node}/evt/page/{stream}"

    def request(self, verb: str) -> str:
        return f"{self.node}/req/{verb}"

    def reply(self, client: str) -> str:
        return f"{self.node}/res/{client}"

    def verb(self, topic: str) -> str | None:
        """The verb of a request topic, None when the topic is no request to this gateway."""
        prefix = f"{self.node}/req/"
        return topic[len(prefix) :] if topic.startswith(prefix) else None

    def may_answer_on(self, topic: str) -> bool:
        """A response topic comes from outside: only `res/{client}` below this gateway's own node is allowed."""
        prefix = f"{self.node}/res/"
        return topic.startswith(prefix) and _REPLY_CLIENT.fullmatch(topic[len(prefix) :]) is not None


def platform_state(tenant: str) -> str:
    """Where a platform says that it lives and how fast it wants what was missed."""
    return f"{ROOT}/{checked_name(tenant, 'tenant')}/_platform/state"


@dataclass(frozen=True, slots=True)
class Address:
    """A topic taken apart: kind is "state", "inv", "health", "evt", "req", "res" or "job"; rest what follows it."""

    tenant: str
    gw: str
    kind: str
    rest: tuple[str, ...]


def parse(topic: str) -> Address | None:
    """None for a topic outside this contract."""
    levels = topic.split("/")
    if len(levels) < 5 or "/".join(levels[:2]) != ROOT:
        return None
    return Address(levels[2], levels[3], levels[4], tuple(levels[5:]))
