"""`gateway dlq` as users run it: what it prints, how it ends, and what kill -9 leaves."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer, free_port
from tests.support.commands import Ended, run_commands
from tests.support.eventually import LONG, eventually
from tests.support.letters import body_of, headers_of, numbers, write_letters
from tests.support.process import ROOT
from tests.support.small_routes import route
from tests.support.streams import api, change_stream, count, make_stream, read_stream
from tests.support.witness import read_all


class Dlq:
    """`gateway dlq` with a config."""

    def __init__(self, config: Path) -> None:
        self.config = config

    async def launch(self, *args: str) -> asyncio.subprocess.Process:
        """Start it."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "dlq", args[0], "-c", str(self.config), *args[1:]),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )

    async def run(self, *commands: str | tuple[str, ...]) -> list[Ended]:
        """Run commands, each with its options, one after the other."""
        split = [(command,) if isinstance(command, str) else command for command in commands]
        return await run_commands(*(("dlq", name, "-c", str(self.config), *options) for name, *options in split))

    async def end(self, process: asyncio.subprocess.Process) -> Ended:
        """Wait for its end."""
        out, err = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())


def write_config(file: Path, url: str, **fields: Any) -> None:
    routes = [route("r", "in.>", "out.it", **fields)]
    file.write_text(yaml.safe_dump({"nats": {"servers": [url]}, "http": "off", "routes": routes}))


@pytest.fixture
async def dlq(nats_server: EmbeddedServer, nc: Client, tmp_path: Path) -> Dlq:
    for name in ("IN", "OUT", "DLQ"):
        await make_stream(nc, name, [f"{name.lower()}.>"])
    file = tmp_path / "gateway.yaml"
    write_config(file, nats_server.url)
    return Dlq(file)


async def test_letters_are_listed_counted_and_shown(dlq: Dlq, nc: Client) -> None:
    """Nothing of an event but by `show`; each option narrows what the others leave."""
    await write_letters(nc, 3)
    await write_letters(nc, 2, first=4, gateway_error_code="other", gateway_failed_targets="out, far")
    await nc.jetstream().publish("dlq.r", b"no letter")
    await nc.jetstream().publish("dlq.gone", b"\xff\x00", headers={})
    await write_letters(nc, 1, first=8, gateway_route="gone", gateway_name="west")
    pattern = '{"n": [{"numeric": [">", 1]}]}'
    table, narrow, counts, shown, raw, west, none = await dlq.run(
        ("list", "--limit", "2"),
        ("list", "--json", "--pattern", pattern, "--code", "bad", "--route", "r", "--since", "1h"),
        ("stats", "--json"),
        ("show", "4"),
        ("show", "4", "--raw"),
        ("list", "--json", "--gateway", "west", "--sequence", "8"),
        ("show", "6"),
    )
    assert table.code == 0, table.err
    head, *rows = table.out.splitlines()
    assert head.split() == ["LETTER", "STORED", "ROUTE", "CODE", "STEP", "SOURCE", "MESSAGE"]
    assert [row.split()[0] for row in rows] == ["4", "5"]
    assert "the newest 2 of 5 letters" in table.err
    assert "fill" not in table.out
    assert [line["sequence"] for line in narrow.lines] == [2, 3]
    document = json.loads(counts.out)
    assert document["routes"] == {"r": {"bad": 3, "other": 2}}
    assert document["failed_targets"] == {"r/far": 2, "r/out": 2}
    assert (document["no_letters"], document["of_other_gateways"]) == (2, {"west": 1})
    assert (shown.code, raw.code) == (0, 0)
    assert "other in filter-0-x after 1 try" in shown.out
    assert '"n": 4' in shown.out
    assert raw.out.encode() == body_of(4)
    assert [line["source"] for line in west.lines] == [{"stream": "IN", "sequence": 8, "subject": "in.a"}]
    assert (none.code, none.err) == (1, "there is no dead letter 6\n")
    assert await count(nc, "DLQ") == 8, "looking takes nothing away"


async def test_the_newest_letters_are_those_of_all_streams_and_harmless_on_a_terminal(dlq: Dlq, nc: Client) -> None:
    """A stream looked at later has none that is newer just for that."""
    await make_stream(nc, "A", ["a.>"])
    await make_stream(nc, "Z", ["z.>"])
    js = nc.jetstream()
    for subject, events in (("z.r", (1, 2)), ("a.r", (3, 4, 5)), ("z.r", (6,))):
        for number in events:
            headers = headers_of(number, gateway_source_stream="\x1b[2J")
            await js.publish(subject, body_of(number), headers=headers)
    file = dlq.config.with_name("two.yaml")
    both = [{**route(name, "in.>", "out.it"), "dead-letter": {"subject": f"{name}.r"}} for name in ("a", "z")]
    file.write_text(yaml.safe_dump({**yaml.safe_load(dlq.config.read_text()), "routes": both}))
    first, others, table = await Dlq(file).run(
        ("list", "--json", "--limit", "3"), ("list", "--json", "--limit", "0"), "list"
    )
    assert [line["source"]["sequence"] for line in first.lines] == [4, 5, 6]
    assert [line["source"]["sequence"] for line in others.lines] == [1, 2, 3, 4, 5, 6]
    assert "\x1b" not in table.out


async def test_what_stats_says_to_do_next_can_be_copied(dlq: Dlq, nc: Client) -> None:
    """They are for the config that was asked about, and `show` shows one of those counted most."""
    await write_letters(nc, 1, gateway_error_code="other")
    await write_letters(nc, 2, first=2)
    [stats] = await dlq.run("stats")
    look, again = (line.partition(":")[2].split() for line in stats.out.splitlines()[-2:])
    assert look[:4] == [*again[:2], "show", "-c"] == ["gateway", "dlq", "show", "-c"]
    shown, planned = await run_commands(tuple(look[1:]), tuple(again[1:]))
    assert (shown.code, planned.code) == (0, 0), shown.err + planned.err
    assert "failed:         bad in" in shown.out
    assert "2 letters" in planned.err


async def test_dead_letters_that_no_stream_takes_are_told_once_with_the_command_that_mends_it(
    dlq: Dlq, nc: Client
) -> None:
    """For all routes whose letters one stream would take, whether others have one or not."""
    await write_letters(nc, 1)
    text = yaml.safe_load(dlq.config.read_text())
    text["routes"] += [
        {**route(name, "in.>", "out.it"), "dead-letter": {"subject": "gone.{$route}"}} for name in ("a", "b")
    ]
    text["streams"] = [{"name": "GONE", "subjects": ["gone.>"]}]
    dlq.config.write_text(yaml.safe_dump(text))
    line = "no stream takes gone.a, gone.b, the dead letters of a, b; make it: nats stream add GONE --subjects 'gone.>'"
    [some] = await dlq.run("stats")
    await nc.jetstream().delete_stream("DLQ")
    [none] = await dlq.run("stats")
    assert (some.code, none.code) == (0, 1)
    assert some.err.count("no stream takes") == 1
    assert some.err.startswith(line)
    assert none.err.splitlines()[0] == (
        "no stream takes dlq.r, the dead letters of r; make one: nats stream add DLQ --subjects 'dlq.>' --defaults"
    )
    assert none.err.splitlines()[1].startswith(line)


async def test_purge_removes_what_is_meant_and_nothing_unasked(dlq: Dlq, nc: Client) -> None:
    await write_letters(nc, 4)
    await write_letters(nc, 2, first=5, gateway_error_code="other")
    await nc.jetstream().publish("dlq.r", b'{"n": 7}')
    *refused, dry = await dlq.run(
        "purge", ("purge", "--all"), ("purge", "--all", "--code", "x"), ("purge", "--code", "bad", "--dry-run")
    )
    assert [one.code for one in refused] == [2, 2, 2]
    assert (dry.code, dry.out) == (0, "4 letters would be removed\n")
    assert await count(nc, "DLQ") == 7
    (done,) = await dlq.run(("purge", "--code", "bad", "--limit", "3", "--yes", "--json"))
    assert done.lines == [{"dry_run": False, "letters": 3, "removed": 3}]
    assert numbers(await read_stream(nc, "DLQ")) == [4, 5, 6, 7]
    await dlq.run(("purge", "--all", "--yes"))
    assert numbers(await read_stream(nc, "DLQ")) == [7], "it is no letter"


async def test_redrive_says_what_it_will_do_and_what_it_did(dlq: Dlq, nc: Client) -> None:
    await write_letters(nc, 3)
    await write_letters(nc, 1, first=4, gateway_route="gone")
    dry, done, nothing = await dlq.run(("redrive", "--dry-run"), "redrive", ("redrive", "--route", "r", "--json"))
    assert (dry.code, dry.out) == (1, "3 letters would be redriven, 1 kept\n")
    assert (done.code, done.out) == (1, "3 of 3 letters done: 3 published\n")
    assert "DLQ: 1 letter kept: its route is not in the config" in done.err
    assert "DLQ/4" in done.err
    assert await count(nc, "OUT") == 3
    planned, ended = nothing.lines
    assert (nothing.code, planned["letters"], ended["ok"], ended["done"]) == (0, 0, True, 0)


async def test_a_name_that_nobody_has_is_noticed(dlq: Dlq, nc: Client) -> None:
    """Misspelt, it would look as if there were nothing to do. A route that is gone and has letters is none of these."""
    await write_letters(nc, 2)
    await write_letters(nc, 1, first=3, gateway_route="gone", gateway_error_code="made-up")
    misspelt = ("--route", "nope", "--route", "gone", "--code", "too-lage", "--code", "made-up", "--code", "too-large")
    *runs, same = await dlq.run(
        ("list", *misspelt),
        ("stats", *misspelt),
        ("purge", *misspelt, "--yes", "--limit", "0", "--dry-run"),
        ("redrive", *misspelt, "--dry-run"),
        ("list", "--route", "r", "--code", "bad"),
    )
    notices = [
        "the config has no route nope, and no letter looked at is of one",
        "no letter looked at has the code too-lage, and no component has it: did you mean too-large?",
    ]
    for one in runs:
        said = [line for line in one.err.splitlines() if "looked at" in line]
        assert said == notices, one.err
    assert "looked at" not in same.err
    west, nothing = await dlq.run(("list", "--gateway", "west", "--route", "r"), ("list", "--route", "rr"))
    assert "no letter looked at is of the route r\n" in west.err
    assert "is of one: did you mean r?\nno such dead letters\n" in nothing.err


async def test_what_a_redrive_did_is_said_in_the_words_of_its_way(dlq: Dlq, nc: Client) -> None:
    await write_letters(nc, 1, gateway_route="gone")
    await write_letters(nc, 2, first=2)
    through, back = await dlq.run(
        ("redrive", "--route", "gone", "--to-route", "r", "--limit", "0"), ("redrive", "--to-source", "--limit", "0")
    )
    assert (through.code, through.out) == (0, "1 of 1 letter done: 1 published\n")
    assert "DLQ: 1 letter of gone for the route r\n" in through.err
    assert (back.code, back.out) == (0, "2 of 2 letters done: 2 sent back to the source\n")
    assert "DLQ: 2 letters for the route r\n" in back.err


async def test_a_redrive_that_is_stopped_names_only_letters_that_had_their_end(dlq: Dlq, nc: Client) -> None:
    """What was begun and given back is where the next run begins."""
    await write_letters(nc, 3)
    await change_stream(nc, "OUT", max_msgs=1, discard="new")
    await nc.jetstream().publish("out.before", b"")
    dlq.config.write_text(dlq.config.read_text() + "drain: 100ms\n")
    process = await dlq.launch("redrive")
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while b"they are held" not in await process.stderr.readline():
            pass
    process.send_signal(signal.SIGINT)
    ended = await dlq.end(process)
    assert ended.code == 128 + signal.SIGINT
    assert "0 of 3 letters done: 0 published\n3 letters given back" in ended.out
    assert "stopped before any was done, 3 letters left" in ended.out


async def test_the_ways_to_fail_have_their_codes(dlq: Dlq, nc: Client, tmp_path: Path) -> None:
    away, broken = Dlq(tmp_path / "away.yaml"), Dlq(tmp_path / "broken.yaml")
    write_config(away.config, f"nats://127.0.0.1:{free_port()}")
    broken.config.write_text("routes: [{}]")
    runs = [
        *await away.run(("list", "--timeout", "300ms"), ("redrive", "--timeout", "300ms")),
        *await broken.run("stats", "redrive"),
        *await dlq.run(
            ("list", "--pattern", "{"),
            ("list", "--since", "yesterday"),
            ("redrive", "--to-source", "--failed-targets"),
            ("redrive", "--rate", "fast"),
            ("list", "--limit", "1" + "0" * 30),
            ("purge", "--sequence", "1" + "0" * 30, "--yes"),
            ("show", "1" + "0" * 30),
            ("list", "--stream", "A B"),
            ("list", "--stream", "NONE"),
        ),
    ]
    assert [run.code for run in runs] == [69, 69, 78, 78, *[2] * 8, 1], [run.err for run in runs]
    assert "Traceback" not in "".join(run.err for run in runs)


async def test_kill_9_at_any_moment_loses_and_doubles_nothing(
    dlq: Dlq, nc: Client, nats_server: EmbeddedServer
) -> None:
    """Run again until it is done: every event is in the target once, and no letter is left."""
    letters, chance = 2000, random.Random(7)
    await write_letters(nc, letters)
    cut_short = 0
    for _ in range(3):
        before = await count(nc, "OUT")
        process = await dlq.launch("redrive", "--rate", "400/s")  # else all are done while a test stands still
        wanted = min(before + chance.randint(20, 400), letters)
        await eventually(lambda wanted=wanted: _holds(nc, "OUT", wanted), LONG, interval=0.001)
        if process.returncode is None:
            process.kill()
        await process.wait()
        stored = set(numbers(await read_all(nats_server.url, "OUT")))
        left = set(numbers(await read_all(nats_server.url, "DLQ")))
        assert stored | left == set(range(1, letters + 1)), "a letter was removed before its event was stored"
        cut_short += bool(left)
    assert cut_short, "every kill came too late to prove anything"
    (done,) = await dlq.run(("redrive", "--json"))
    assert done.code == 0, done.out + done.err
    assert sorted(numbers(await read_all(nats_server.url, "OUT"))) == list(range(1, letters + 1))
    assert await count(nc, "DLQ") == 0


async def _holds(nc: Client, stream: str, messages: int) -> bool:
    return await count(nc, stream) >= messages


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_in_order_and_it_says_how_to_go_on(dlq: Dlq, nc: Client, number: signal.Signals) -> None:
    await write_letters(nc, 500)
    process = await dlq.launch("redrive", "--rate", "100/s")
    await eventually(lambda: _holds(nc, "OUT", 5), LONG)
    process.send_signal(number)
    ended = await dlq.end(process)
    assert ended.code == 128 + number
    left = await count(nc, "DLQ")
    assert 500 - left == await count(nc, "OUT"), "nothing was left half done"
    assert f"stopped after DLQ/{500 - left}, {left} letters left: give the same command again to go on" in ended.out


async def test_memory_does_not_grow_with_the_letters(dlq: Dlq, nc: Client, nats_server: EmbeddedServer) -> None:
    """DLQ_LETTERS=100000 is the long form. What is measured is the most the process ever had."""
    letters = int(os.environ.get("DLQ_LETTERS", "5000"))
    size = 8192 if letters <= 5000 else 1024
    write_config(dlq.config, nats_server.url, **{"max-in-flight": 100, "max-in-flight-bytes": "1MiB"})
    await write_letters(nc, 100, size=size)
    little = await _peak(dlq)
    await write_letters(nc, letters, size=size, first=1001)
    much = await _peak(dlq)
    assert await count(nc, "OUT") == letters + 100
    grown = much - little
    assert grown < 16 << 20 < letters * size / 2, f"{little >> 20} MiB, then {much >> 20} MiB"


async def _peak(dlq: Dlq) -> int:
    """Redrive; the largest resident size of the process, in bytes."""
    command = [sys.executable, "-m", "gateway", "dlq", "redrive", "-c", str(dlq.config)]

    def run() -> int:
        pid = os.posix_spawn(command[0], command, {**os.environ, "PYTHONPATH": str(ROOT)})
        _, status, used = os.wait4(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        return used.ru_maxrss * 1024

    return await asyncio.to_thread(run)


async def test_letters_come_and_go_while_a_gateway_runs(dlq: Dlq, nc: Client, nats_server: EmbeddedServer) -> None:
    """Only what was there at the start is taken; the rest waits for the next time."""
    await write_letters(nc, 50)
    process = await dlq.launch("redrive", "--rate", "50/s", "--json")
    await eventually(lambda: _holds(nc, "OUT", 2), LONG)
    await write_letters(nc, 50, first=51)
    ended = await dlq.end(process)
    assert ended.code == 0, ended.err
    assert ended.lines[-1]["done"] == 50
    assert numbers(await read_stream(nc, "DLQ")) == list(range(51, 101))
    assert (await api(nc, "CONSUMER.NAMES.DLQ")).get("consumers") in (None, []), "the reader cleans up"
