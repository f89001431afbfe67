"""The pin of an ordered durable: the server gives messages to one of its readers only, and says to which.

Whoever is first to be served gets an id with each message, and asks with it from then on; the others wait. The pin
lapses when nothing is asked with its id for `priority_timeout`. Source: NATS ADR-42, and measurements on 2.15: a pull
that stands does not keep the pin, a new one does, be it one that cannot be served.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..errors import RouteFault
from ..headers import END, VERSION

GROUP = "gateway"
"""The priority group of durables we make; one found may have another."""
TIMEOUT = 4.0
"""Seconds without a sign of the active reader after which the server gives the pin to another."""
RENEWAL = 0.8
"""Seconds between two renewals: a fraction of what makes the pin lapse, and less than a source may be unwatched."""
RESET_SINCE = (2, 14)
"""The server that can set a consumer back."""
TAG = "pin"
"""Begins the end of a renewal's inbox, where a pull has its number."""

_HEADER = b"\r\nNats-Pin-Id: "
_HINT = "set source.manage to update, which changes it and keeps its place, or give the route a durable of its own"


class Pin:
    """What a source knows of the pin."""

    def __init__(self) -> None:
        self.id: str | None = None
        """Ours; None while another reader has it, or nobody yet."""
        self.other: str | None = None
        """Another reader's, when the consumer was last looked at."""
        self._group = GROUP
        self._gains = 0
        self._since = 0
        self._renewed_at = 0.0

    def found(self, config: dict[str, Any]) -> None:
        """The consumer was opened."""
        self._group = config["priority_groups"][0]
        self._renewed_at = 0.0

    def seen(self, info: dict[str, Any]) -> None:
        """The consumer was looked at."""
        holder = holder_in(info, self._group)
        self.other = holder if holder and holder != self.id else None

    @property
    def elsewhere(self) -> bool:
        """Whether another reader had it when the consumer was last looked at."""
        return self.other is not None

    @property
    def known(self) -> str | None:
        """Ours, else the other reader's; None when nobody is known to have it."""
        return self.id or self.other

    def fields(self) -> dict[str, str]:
        """What a pull says of it."""
        return {"group": self._group} if self.id is None else {"group": self._group, "id": self.id}

    def renewal(self, now: float) -> bytes | None:
        """A pull that keeps the pin and brings nothing, if one is due: no message is of one byte."""
        if self.id is None or now - self._renewed_at < RENEWAL:
            return None
        self._renewed_at = now
        return msgspec.json.encode({"batch": 1, "max_bytes": 1, "no_wait": True, **self.fields()})

    def gained(self, ident: str, last_pull: int) -> bool:
        """A message came with this id; True when it is a new one. `last_pull` is the number of the latest pull."""
        if ident == self.id:
            return False
        self.id = ident
        self.other = None
        self._gains += 1
        self._since = last_pull
        return True

    @property
    def tag(self) -> str:
        """Ends the inbox of the renewals with this id."""
        return f"{TAG}{self._gains}"

    def lost(self, asked: str) -> bool:
        """The server calls the id of a pull, or of a renewal, wrong; True when that is the one we have."""
        if self.id is None or not (asked == self.tag or (asked.isdigit() and int(asked) > self._since)):
            return False
        self.id = None
        return True

    def let_go(self) -> bytes | None:
        """We will ask no more; what to send so that another may have the pin, if we had it."""
        self.other = None
        if self.id is None:
            return None
        self.id = None
        return msgspec.json.encode({"group": self._group})


def taken_out(header_block: bytes) -> tuple[bytes, str]:
    """A header block as it was sent, and the id the server put at its end: steps must not see what changes."""
    at = header_block.rfind(_HEADER)
    if at < 0:
        return header_block, ""
    end = header_block.index(END, at + 2)
    block = header_block[:at] + header_block[end:]
    return b"" if block == VERSION + END else block, header_block[at + len(_HEADER) : end].decode("ascii", "replace")


def holder_in(info: dict[str, Any], group: str | None = None) -> str | None:
    """The id of who has the pin of a group, or of the first one, as a consumer's info says; None when nobody has."""
    groups = info.get("priority_groups") or ()
    return next((one.get("pinned_client_id") or None for one in groups if group in (None, one["group"])), None)


def wanted() -> dict[str, Any]:
    """What the durable of an ordered route has besides the rest."""
    return {
        "priority_groups": [GROUP],
        "priority_policy": "pinned_client",
        "priority_timeout": int(TIMEOUT * 1e9),
    }


def pinned(config: dict[str, Any]) -> bool:
    """Whether a consumer has one active reader at a time."""
    return config.get("priority_policy") == "pinned_client" and bool(config.get("priority_groups"))


def check(config: dict[str, Any], durable: str, *, ordered: bool) -> None:
    """Raise RouteFault when a durable found does not fit the route's ordering: it must not run in another."""
    if ordered and not pinned(config):
        text = f"the durable {durable} has no pinned priority group: its readers take events beside each other"
        raise RouteFault("unfit-durable", text, _HINT)
    if not ordered and pinned(config):
        text = f"the durable {durable} has a pinned priority group, which the route does not ask for without ordering"
        raise RouteFault("unfit-durable", text, _HINT)


def difference(config: dict[str, Any], *, ordered: bool) -> str:
    """What `manage: update` has to change of a durable found; empty when nothing."""
    if ordered == pinned(config):
        return ""
    found = config.get("priority_policy", "none")
    return f"priority_policy is {found}, the config wants {'pinned_client' if ordered else 'none'}"


def adjust(config: dict[str, Any], *, ordered: bool) -> None:
    """Make a durable's config one that fits the route's ordering; a pin that is there keeps its own settings."""
    if ordered and not pinned(config):
        config.update(wanted())
    elif not ordered:
        for name in wanted():
            config.pop(name, None)
