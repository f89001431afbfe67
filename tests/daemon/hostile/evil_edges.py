"""Codecs and audits that do everything wrong, and what filters may be asked beside their verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from gateway import Attributes, Audit, AuditRecord, Codec, Encoded, Event, Filter, Outcome, Settings, hookimpl

MENDED = False


class _Told(Settings):
    how: str


class EvilCodec(Codec, name="evil-codec"):
    """Misbehaves with every third event."""

    Config = _Told

    def _bad(self, data: bytes) -> bool:
        return not MENDED and int(data) % 3 == 0

    def decode(self, data: bytes, headers: Mapping[str, str], subject: str) -> Any:
        number = data.partition(b":")[2].strip(b" }")
        if self.config.how == "decode" and self._bad(number):
            raise GeneratorExit
        return number.decode()

    def encode(self, body: Any, headers: Mapping[str, str]) -> Encoded:
        if not self._bad(body.removesuffix("!").encode()):
            return Encoded(b'{"n": %b}' % body.removesuffix("!").encode())
        return {
            "encode-none": None,
            "encode-text": Encoded("text"),
            "encode-headers": Encoded(b"{}", {"a": 5}),
            "encode-list": Encoded(b"{}", ["a"]),
        }[self.config.how]

    def attributes(self, body: Any, headers: Mapping[str, str]) -> Attributes:
        return None if self.config.how == "attributes" and self._bad(body.removesuffix("!").encode()) else Attributes()


class Shout(Filter, name="no-thirds"):
    """Says no to every third event, and cannot say why; and cannot remember."""

    def accepts(self, event: Event) -> bool:
        return event.get("n") % 3 != 0

    def explain(self, event: Event) -> str:
        raise SystemExit("no reason")

    def settled(self, event: Event, outcome: Outcome) -> None:
        raise asyncio.CancelledError


class EvilAudit(Audit, name="evil-audit"):
    """Misbehaves with all records."""

    Config = _Told

    async def record(self, records: Sequence[AuditRecord]) -> None:
        how = self.config.how
        if MENDED:
            return
        if how == "hangs":
            await asyncio.Event().wait()
        while how == "deaf":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue
        if how == "mutates":
            for record in records:
                record.plugins.clear()
            records.clear()
        raise {"exit": SystemExit, "generator-exit": GeneratorExit, "interrupt": KeyboardInterrupt}.get(how, OSError)


@hookimpl
def gateway_codecs() -> list[type[Codec]]:
    return [EvilCodec]


@hookimpl
def gateway_filters() -> list[type[Filter]]:
    return [Shout]


@hookimpl
def gateway_audits() -> list[type[Audit]]:
    return [EvilAudit]
