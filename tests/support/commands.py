"""`gateway` commands in a process that stays: an interpreter's start costs more than what they do.

It is one process for all tests of this one, started with the first command; the commands run one after the other.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from gateway.cli import main
from gateway.jetstream.server import tied_to_us

from .process import ROOT


class Ended:
    """What one command said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self) -> list[dict[str, object]]:
        """Its output as JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def document(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.out)


class _Runner:
    """Starts the process when it is asked for the first time, and asks it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._one_at_a_time = threading.Lock()

    def started(self) -> subprocess.Popen[str]:
        """The process; a new one if the last one has ended."""
        if self._process is None or self._process.poll() is not None:
            command = tied_to_us([sys.executable, "-m", "tests.support.commands"])
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
            )
            atexit.register(self.end, self._process)
        return self._process

    def ask(self, process: subprocess.Popen[str], commands: Sequence[Sequence[str]]) -> list[Ended]:
        """Blocks until all of them have ended."""
        assert process.stdin is not None
        assert process.stdout is not None
        with self._one_at_a_time:
            process.stdin.write(json.dumps(commands) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        assert answer, f"the process that runs commands ended with {process.wait()}"
        return [Ended(*ended) for ended in json.loads(answer)]

    @staticmethod
    def end(process: subprocess.Popen[str]) -> None:
        """Without any more to do, it goes."""
        process.kill()
        process.communicate()


_RUNNER = _Runner()


async def run_commands(*commands: Sequence[str], timeout: float = 120.0) -> list[Ended]:
    """Run them one after the other."""
    process = _RUNNER.started()
    try:
        return await asyncio.wait_for(asyncio.to_thread(_RUNNER.ask, process, commands), timeout)
    except TimeoutError:
        process.kill()
        raise


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


def _serve() -> None:
    # Whoever writes past sys.stdout must not be taken for an answer.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            json.dump([_run(command) for command in json.loads(line)], answers)
            answers.write("\n")
            answers.flush()


if __name__ == "__main__":
    _serve()
