"""`gateway audit verify` as users run it: on streams and files a gateway wrote, whole and tampered with."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from nats.aio.client import Client

from gateway.audit_files import AuditFiles
from gateway.jetstream.server import EmbeddedServer, free_port
from tests.conftest import StartGateway
from tests.support.arrivals import settled
from tests.support.chains import chain, recorded, stored_chain
from tests.support.commands import Ended, run_commands
from tests.support.eventually import eventually
from tests.support.process import ROOT
from tests.support.small_routes import publish, route
from tests.support.streams import api, change_stream, count, make_stream
from tests.support.witness import read_all

AUDITS = [{"stream": {"subject": "audit.{$route}", "stream": "AUDIT"}}]
SOURCE = {"stream": "IN", "subjects": ["in.one"], "ack-wait": "1s"}


async def verify(*args: str) -> Ended:
    """Run `gateway audit verify`."""
    (ended,) = await run_commands(("audit", "verify", *args))
    return ended


@pytest.fixture
async def streams(nc: Client) -> None:
    for name in ("IN", "OUT", "DLQ", "AUDIT"):
        await make_stream(nc, name, [f"{name.lower()}.>"])


async def fill(nc: Client, stream: str, *stored: list[bytes], subject: str = "audit.r") -> None:
    """Store records as a writer would."""
    js = nc.jetstream(timeout=30)
    for records in stored:
        for data in records:
            await js.publish(subject, data, stream=stream)


@pytest.mark.usefixtures("streams")
async def test_kill_9_at_any_moment_leaves_a_chain_that_verifies(
    nc: Client, gateway_process: StartGateway, nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    """Accounted from the streams alone: whatever the source has settled has its record, in one line of chains."""
    state = tmp_path / "state"
    state.mkdir()
    gateway = await gateway_process(
        {"routes": [route("one", "in.one", "out.one", audits=AUDITS, source=SOURCE)]},
        env={"STATE_DIRECTORY": str(state)},
    )
    events = 0
    for _ in range(4):
        before = await count(nc, "AUDIT")
        await publish(nc, "in.one", 500)
        events += 500
        await eventually(lambda before=before: _over(nc, before + 50), interval=0.001)
        gateway.kill9()
        report = await stored_chain(nc)
        assert report.good, report.findings
        info = await api(nc, "CONSUMER.INFO.IN.gateway-one")
        have = {record["sequence"] for record in await recorded(nc)}
        assert set(range(1, info["ack_floor"]["stream_seq"] + 1)) <= have, "an event is settled without its record"
        await gateway.start()
    # The one before may have been killed when it was done with all: a chain begins with its first record.
    await publish(nc, "in.one", 1)
    events += 1
    await settled(nc, "one")
    gateway.term()
    assert await gateway.wait() == 0
    assert {record["sequence"] for record in await recorded(nc)} == set(range(1, events + 1))
    found = await verify("AUDIT", "-c", str(gateway.config), "--json")
    assert found.code == 0, found.out + found.err
    chains = found.document["chains"]
    assert [one["ending"] for one in chains] == ["crashed"] * (len(chains) - 1) + ["closed"]
    assert len(chains) > 3, "what the one before sent at its end may be counted late, and the next one killed too early"
    assert [one["follows"] for one in chains] == ["", *(one["chain"] for one in chains[:-1])]


async def _over(nc: Client, records: int) -> bool:
    return await count(nc, "AUDIT") > records


@pytest.mark.usefixtures("streams")
async def test_a_good_stream_is_told_in_words(nc: Client, nats_server: EmbeddedServer) -> None:
    made, stored = chain(10)
    await fill(nc, "AUDIT", stored)
    found = await verify("AUDIT", "--server", nats_server.url)
    assert found.code == 0
    first, summary, last = found.out.splitlines()
    assert first == "stream AUDIT, sequences 1 to 12: 12 records in 1 chain"
    assert summary == f"ok   {made.id}  route r, instance host-1: records 0 to 11, AUDIT:1 to AUDIT:12, closed"
    assert last == "good: nothing inside is missing or changed"


@pytest.mark.usefixtures("streams")
async def test_a_deleted_message_is_found_with_its_place(nc: Client, nats_server: EmbeddedServer) -> None:
    await fill(nc, "AUDIT", chain(10)[1])
    await api(nc, "STREAM.MSG.DELETE.AUDIT", {"seq": 5})
    found = await verify("AUDIT", "--server", nats_server.url)
    assert found.code == 1
    assert "AUDIT:6: record 4 is missing before record 5 (missing)" in found.out
    assert "1 message is gone from between, the first at 5" in found.out


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize("taken", ["a chain nothing is tied to", "the end of the newest"])
async def test_what_was_deleted_where_no_chain_misses_it_is_found_by_the_hole(
    nc: Client, nats_server: EmbeddedServer, taken: str
) -> None:
    """Without a state folder every start has chains of its own, and an open chain says nothing of its end."""
    await fill(nc, "AUDIT", *(chain(5, instance=f"host-{number}", end=number < 3)[1] for number in (1, 2, 3)))
    for sequence in range(8, 15) if taken.startswith("a chain") else (19, 20):
        await api(nc, "STREAM.MSG.DELETE.AUDIT", {"seq": sequence})
    found = await verify("AUDIT", "--server", nats_server.url, "--json")
    assert found.code == 1, found.out
    assert found.document["counts"] == {"missing": 1}
    (finding,) = found.document["findings"]
    assert finding["place"] == ("AUDIT:8" if taken.startswith("a chain") else "AUDIT:19")
    await change_stream(nc, "AUDIT", max_msgs_per_subject=1000)
    found = await verify("AUDIT", "--server", nats_server.url)
    assert found.code == 0, f"such a limit makes holes by itself: {found.out}"


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize("how", ["changed", "moved", "repeated", "foreign"])
async def test_what_is_stored_again_otherwise_is_found(nc: Client, nats_server: EmbeddedServer, how: str) -> None:
    _, stored = chain(6)
    tampered = {
        "changed": [*stored[:3], stored[3].replace(b"published", b"dropped"), *stored[4:]],
        "moved": [*stored[:3], stored[4], stored[3], *stored[5:]],
        "repeated": [*stored, stored[3]],
        "foreign": [*stored[:3], b"hello", *stored[3:]],
    }[how]
    await fill(nc, "AUDIT", tampered)
    found = await verify("AUDIT", "--server", nats_server.url, "--json")
    assert found.code == 1
    expected = {"changed": "changed", "moved": "out-of-order", "repeated": "duplicate", "foreign": "foreign"}[how]
    assert found.document["counts"] == {expected: 1}
    assert not found.document["ok"]


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize("how", ["purge", "limit"])
async def test_what_retention_removed_is_cut_and_no_finding(nc: Client, nats_server: EmbeddedServer, how: str) -> None:
    first, stored = chain(20)
    await fill(nc, "AUDIT", stored, chain(20, first.last)[1])
    if how == "purge":
        await api(nc, "STREAM.PURGE.AUDIT", {"seq": 11})
    else:
        await change_stream(nc, "AUDIT", max_msgs=34)
    found = await verify("AUDIT", "--server", nats_server.url, "--json")
    assert found.code == 0, found.out
    assert found.document["cut"] == "retention or a purge has removed what was before sequence 11"
    assert [one["cut"] for one in found.document["chains"]] == [10, 0]


@pytest.mark.usefixtures("streams")
async def test_a_front_that_was_purged_by_subject_is_no_retention(nc: Client, nats_server: EmbeddedServer) -> None:
    """A limit per subject would be; this stream has none."""
    await fill(nc, "AUDIT", chain(5)[1], subject="audit.other")
    await fill(nc, "AUDIT", chain(5)[1])
    await api(nc, "STREAM.PURGE.AUDIT", {"filter": "audit.r", "seq": 10})
    found = await verify("AUDIT", "--server", nats_server.url, "--subject", "audit.r", "--json")
    assert found.document["counts"] == {"missing": 1}
    await change_stream(nc, "AUDIT", max_msgs_per_subject=1000)
    found = await verify("AUDIT", "--server", nats_server.url, "--subject", "audit.r")
    assert found.code == 0


@pytest.mark.usefixtures("streams")
async def test_only_one_subject_is_read_when_asked(nc: Client, nats_server: EmbeddedServer) -> None:
    await nc.jetstream().publish("audit.noise", b"no record")
    await fill(nc, "AUDIT", chain(5)[1])
    assert (await verify("AUDIT", "--server", nats_server.url)).code == 1
    found = await verify("AUDIT", "--server", nats_server.url, "--subject", "audit.r")
    assert found.code == 0
    assert found.out.startswith("stream AUDIT under audit.r, sequences 1 to 8: 7 records in 1 chain\n")


@pytest.mark.usefixtures("streams")
async def test_a_long_stream_is_read_whole(nc: Client, nats_server: EmbeddedServer) -> None:
    """Over many pull requests, some of which end early over their bytes."""
    _, stored = chain(12_000)
    js = nc.jetstream(timeout=30)
    for start in range(0, len(stored), 1000):
        await asyncio.gather(*(js.publish("audit.r", data) for data in stored[start : start + 1000]))
    in_order = [message.data for message in await read_all(nats_server.url, "AUDIT")]
    assert in_order == stored
    found = await verify("AUDIT", "--server", nats_server.url, "--json")
    assert found.code == 0
    assert found.document["records"] == 12_002


async def test_a_folder_of_the_stream_s_name_is_no_file(nc: Client, nats_server: EmbeddedServer) -> None:
    assert (ROOT / "docs").is_dir()
    await make_stream(nc, "docs", ["audit.>"])
    await fill(nc, "docs", chain(5)[1])
    found = await verify("docs", "--server", nats_server.url)
    assert found.code == 0, found.err
    assert found.out.startswith("stream docs, ")


async def test_a_stream_that_is_not_there_is_a_finding(nats_server: EmbeddedServer) -> None:
    found = await verify("NOWHERE", "--server", nats_server.url)
    assert (found.code, found.out) == (1, "")
    assert "stream NOWHERE: stream not found" in found.err


@pytest.mark.usefixtures("streams")
async def test_where_no_record_is_nothing_is_proven(nc: Client, nats_server: EmbeddedServer, tmp_path: Path) -> None:
    """A subject with a slip, or a file that was emptied, must not pass for a good one."""
    file = tmp_path / "audit.jsonl"
    file.touch()
    found = await verify(str(file))
    assert (found.code, found.out.splitlines()[-1]) == (1, "nothing was there to verify")
    found = await verify("AUDIT", "--server", nats_server.url)
    assert (found.code, found.out.splitlines()[-1]) == (1, "nothing was there to verify")
    await fill(nc, "AUDIT", chain(5)[1])
    found = await verify("AUDIT", "--server", nats_server.url, "--subject", "audit.nothing", "--json")
    assert (found.code, found.document["ok"], found.document["records"]) == (1, False, 0)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("AUDIT", "--subject", "audit..x"), "a subject has no empty tokens"),
        (("AUDIT", "--subject", "audit.>.x"), "'>' may only be the last token"),
        (("AUDIT", "--subject", "audit x"), "holds a space"),
        (("./audit.jsonl", "--subject", "audit.x"), "a file has no subjects"),
    ],
)
async def test_what_can_be_no_subject_is_wrong_usage(args: tuple[str, ...], text: str) -> None:
    found = await verify(*args)
    assert found.code == 2
    assert text in " ".join(found.err.split())


async def test_of_many_findings_the_first_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    """As of a stream that was never one of audits."""
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"hello\n" * 1500)
    found = await verify(str(file))
    lines = found.out.splitlines()
    assert len(lines) == 53
    assert lines[-2:] == ["... and 1,450 more; in all: foreign 1,500", "1,500 findings"]
    assert len((await verify(str(file), "--json")).document["findings"]) == 1000


async def test_a_server_that_is_away_is_69_after_the_timeout() -> None:
    found = await verify("AUDIT", "--server", f"nats://127.0.0.1:{free_port()}", "--timeout", "200ms")
    assert found.code == 69
    assert "no NATS server answers" in found.err
    assert "Traceback" not in found.err


@pytest.mark.parametrize("args", [("AUDIT", "--timeout", "soon"), (), ("AUDIT", "--what")])
async def test_wrong_usage_is_2(args: tuple[str, ...]) -> None:
    assert (await verify(*args)).code == 2


async def test_a_config_that_is_not_there_is_78(tmp_path: Path) -> None:
    found = await verify("AUDIT", "-c", str(tmp_path / "none.yaml"))
    assert found.code == 78
    assert "--server URL" in found.err


async def test_a_file_needs_no_server(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    _, stored = chain(5)
    file.write_bytes(b"".join(data + b"\n" for data in stored))
    found = await verify(str(file))
    assert found.code == 0
    assert found.out.startswith(f"file {file}: 7 records in 1 chain\n")
    file.write_bytes(b"".join(data + b"\n" for data in stored[:3] + stored[4:]))
    found = await verify(str(file))
    assert found.code == 1
    assert f"{file}:4: record 3 is missing before record 4 (missing)" in found.out
    for name in (str(tmp_path / "none.jsonl"), "none.jsonl"):
        found = await verify(name)
        assert (found.code, found.err) == (1, f"{name}: No such file or directory\n")


@pytest.mark.usefixtures("streams")
async def test_a_required_file_audit_survives_kill_9(nc: Client, gateway_process: StartGateway, tmp_path: Path) -> None:
    audits = [{"file": {"path": str(tmp_path / "{$route}.jsonl"), "rotate": {"size": "100KiB", "keep": 1000}}}]
    gateway = await gateway_process({"routes": [route("one", "in.one", "out.one", audits=audits, source=SOURCE)]})
    file = tmp_path / "one.jsonl"
    for number in range(3):
        await publish(nc, "in.one", 800)
        await eventually(lambda number=number: _settled(nc, number * 800 + 100), interval=0.002)
        gateway.kill9()
        await gateway.start()
    await settled(nc, "one")
    gateway.term()
    assert await gateway.wait() == 0
    found = await verify(str(file), "--json")
    assert found.code == 0, found.out
    # A line that a kill cut short is part of no chain.
    whole = [line for _, line in AuditFiles(str(file)).lines() if b'"outcome"' in line and line.endswith(b"}")]
    have = {json.loads(line)["sequence"] for line in whole}
    assert have == set(range(1, 2401))


async def _settled(nc: Client, events: int) -> bool:
    info = await api(nc, "CONSUMER.INFO.IN.gateway-one")
    return int(info["ack_floor"]["stream_seq"]) > events
