"""What is published on subjects, counted on the wire: a stream would hide a repeat behind its duplicate window."""

from __future__ import annotations

from collections import Counter

from nats.aio.client import Client
from nats.aio.msg import Msg


class WireTap:
    """Listens beside the streams; each publish counts, whether a stream stores it or not."""

    def __init__(self) -> None:
        self.messages: list[Msg] = []

    async def listen(self, nc: Client, subject: str) -> None:
        """Begin to listen; what is published from now on is heard."""
        await nc.subscribe(subject, cb=self._heard)
        await nc.flush()

    async def _heard(self, message: Msg) -> None:
        self.messages.append(message)

    def count(self, subject: str) -> Counter[bytes]:
        """How often each payload was published on a subject."""
        return Counter(message.data for message in self.messages if message.subject == subject)

    def ids(self, subject: str) -> dict[bytes, set[str]]:
        """The message ids each payload was published with on a subject."""
        found: dict[bytes, set[str]] = {}
        for message in self.messages:
            if message.subject == subject:
                found.setdefault(message.data, set()).add((message.headers or {}).get("Nats-Msg-Id", ""))
        return found
