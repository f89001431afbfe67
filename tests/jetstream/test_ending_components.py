"""Components that try to end the process, or the task that calls them: it costs their event or route, nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from gateway import Attributes, Audit, AuditRecord, Codec, Encoded, Event, Filter, Outcome, Settings
from tests.jetstream.conftest import Route, RunGateway
from tests.support.arrivals import arrived, settled

pytestmark = pytest.mark.usefixtures("streams")

ENDS: dict[str, BaseException] = {"exit": SystemExit(3), "cancelled": asyncio.CancelledError()}


class EndsCodec(Codec, name="ends-codec"):
    """Try to end the process, or the task that calls, where its config says."""

    class Config(Settings):
        fails: str

    config: Config

    def _fail(self, where: str, how: str) -> None:
        if where == self.config.fails and how in ENDS:
            raise ENDS[how]

    def decode(self, data: bytes, headers: Mapping[str, str], subject: str) -> Any:
        self._fail("decode", data.decode())
        return data.decode()

    def encode(self, body: Any, headers: Mapping[str, str]) -> Encoded:
        self._fail("encode", body)
        return Encoded(body.encode())

    def attributes(self, body: Any, headers: Mapping[str, str]) -> Attributes:
        self._fail("attributes", body)
        return Attributes(id=body)


@pytest.mark.parametrize("fails", ["decode", "attributes", "encode"])
async def test_a_codec_cannot_end_the_process_nor_the_connection(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, fails: str
) -> None:
    # Bytes pass through a target of the route's own codec.
    reads, writes = ({"ends-codec": {"fails": what}} for what in ("" if fails == "encode" else fails, fails))
    bad = route("bad", codec=reads, targets=[{"subject": "out.bad", "codec": writes}])
    gateway = await run_gateway(
        {"routes": [bad, route("good", codec="raw", targets=[{"subject": "out.good"}])]}, EndsCodec
    )
    for how in (*ENDS, "fine"):
        await js.publish("in.a", how.encode())
    assert {letter.data.decode() for letter in await arrived(nc, "DLQ", 2)} == set(ENDS)
    await arrived(nc, "OUT", 4)
    await settled(nc, "bad")
    await settled(nc, "good")
    assert gateway.app.stats.reconnects == 0


class EndsLate(Filter, name="ends-late"):
    """Try the same when asked why, and when told of the end."""

    def accepts(self, event: Event) -> bool:
        return bool(event.get("do") == "settled")

    def explain(self, event: Event) -> str:
        raise ENDS[event.get("how")]

    def settled(self, event: Event, outcome: Outcome) -> None:
        raise ENDS[event.get("how")]


class Records(Audit, name="records"):
    """Keep the reasons."""

    reasons: ClassVar[list[str]]

    def prepare(self) -> None:
        Records.reasons = []

    def record(self, records: Sequence[AuditRecord]) -> None:
        Records.reasons += [record.reason for record in records]


async def test_neither_an_explanation_nor_a_memory_can_end_the_process_or_the_connection(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route
) -> None:
    gateway = await run_gateway({"routes": [route(filters=["ends-late"], audits=["records"])]}, EndsLate, Records)
    for do in ("explain", "settled"):
        for how in ENDS:
            await js.publish("in.a", f'{{"do": "{do}", "how": "{how}"}}'.encode())
    await arrived(nc, "OUT", 2)
    await settled(nc)
    assert sum("while explaining" in reason for reason in Records.reasons) == 2
    assert gateway.app.stats.reconnects == 0
    assert gateway.stats().outcomes["published"] == 2


class Opens(Filter, name="opens"):
    """Fail to open until it is mended, and to close, as its config says."""

    class Config(Settings):
        how: str

    config: Config
    mended: ClassVar[bool] = False

    def open(self) -> Any:
        return None if self.mended else self._fail()

    def close(self) -> Any:
        return self._fail()

    def _fail(self) -> Any:
        kind, _, how = self.config.how.rpartition("-")
        if not kind:
            raise ENDS[how]

        async def late() -> None:
            await asyncio.sleep(0)
            raise ENDS[how]

        return late()

    def accepts(self, event: Event) -> bool:
        return True


@pytest.mark.parametrize("how", ["exit", "cancelled", "async-exit", "async-cancelled"])
async def test_a_component_that_will_not_open_takes_its_route_down_only_and_is_opened_again(
    nc: Client, js: JetStreamContext, run_gateway: RunGateway, route: Route, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Opens, "mended", False)
    gateway = await run_gateway(
        {"routes": [route("bad", filters=[{"opens": {"how": how}}]), route("good")]}, Opens, wait=False
    )
    stats = await gateway.down("open-failed", "bad")
    assert stats.reason.startswith("opens: open raised ")
    monkeypatch.setattr(Opens, "mended", True)
    await gateway.up()
    await js.publish("in.a", b"1")
    await arrived(nc, "OUT", 2)
    await settled(nc, "bad")
    await gateway.stop()
