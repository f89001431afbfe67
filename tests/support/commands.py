"""Several `gateway` commands in one process of their own: an interpreter start costs more than what they do."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sys
from collections.abc import Sequence

from gateway.cli import main

from .process import ROOT


class Ended:
    """What one command said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self) -> list[dict[str, object]]:
        """Its output as JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]


async def run_commands(*commands: Sequence[str], timeout: float = 120.0) -> list[Ended]:
    """Run them one after the other."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.commands"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    out, _ = await asyncio.wait_for(process.communicate(json.dumps(commands).encode()), timeout)
    return [Ended(*ended) for ended in json.loads(out)]


def _run(command: Sequence[str]) -> tuple[int, str, str]:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(command)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    return code, texts[0], texts[1]


if __name__ == "__main__":
    json.dump([_run(command) for command in json.load(sys.stdin)], sys.stdout)
