"""Removes letters whose events are safe; each removal is awaited, and tried again until somebody answers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from ..errors import Retry
from ..jetstream.api import ApiDenied, ApiError, ApiUnavailable
from .proving import BUSY
from .store import PAUSE, DeadLetters
from .tally import Tally

AT_ONCE = 32
"""Removals that wait for their answer."""
MOST = 1000
"""Letters that may wait to be removed before no more are begun."""
TRUST = 1.0
"""Seconds after which the stream is looked at again: made anew, it would have other letters under the same numbers."""


class Remover:
    """The letters of one stream that may go."""

    def __init__(self, letters: DeadLetters, tally: Tally, moved: Callable[[], None]) -> None:
        """`moved` is called whenever there is room for more, or there never will be."""
        self._letters = letters
        self._tally = tally
        self._moved = moved
        self._waiting: deque[int] = deque()
        self._at_work = 0
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._checked_at = time.monotonic()
        self._checking = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self.fault: Exception | None = None
        """Why nothing can be removed any more: Retry, or a fault of this program."""
        self.failed = asyncio.Event()

    def start(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._work()) for _ in range(AT_ONCE)]

    @property
    def full(self) -> bool:
        """Whether enough wait."""
        return len(self._waiting) >= MOST

    @property
    def left(self) -> int:
        """Letters not removed yet, though they may go."""
        return len(self._waiting) + self._at_work

    @property
    def excuse(self) -> Exception:
        """Why letters are left after `flushed`."""
        return self.fault or Retry("nobody answers for the removals", code="unavailable")

    def remove(self, sequence: int) -> None:
        """Have a letter removed."""
        self._waiting.append(sequence)
        self._idle.clear()
        self._news.set()

    async def flushed(self, seconds: float) -> None:
        """Wait until everything is removed, or cannot be, or for so many seconds without any progress."""
        while self.left and self.fault is None:
            before = self._tally.removed
            try:
                await asyncio.wait_for(self._idle.wait(), seconds)
            except TimeoutError:
                if self._tally.removed == before:
                    return

    def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()

    async def _work(self) -> None:
        while True:
            if not self._waiting or self.fault is not None:
                self._news.clear()
                await self._news.wait()
                continue
            sequence = self._waiting.popleft()
            self._at_work += 1
            try:
                done = await self._removed(sequence)
            except BaseException:
                self._waiting.appendleft(sequence)
                raise
            finally:
                self._at_work -= 1
            if not done:
                self._waiting.appendleft(sequence)
                await asyncio.sleep(PAUSE)
                continue
            self._tally.removed += 1
            self._moved()
            if not self.left:
                self._idle.set()

    async def _removed(self, sequence: int) -> bool:
        """Whether a letter is gone; False to try again."""
        try:
            async with self._checking:
                if time.monotonic() - self._checked_at > TRUST:
                    await self._letters.check()
                    self._checked_at = time.monotonic()
            await self._letters.remove(sequence)  # gone already is as good
        except ApiDenied as error:
            return self._fail(Retry(str(error), code="no-permission"))
        except ApiUnavailable:
            return False
        except ApiError as error:
            return False if error.code == BUSY else self._fail(Retry(str(error), code="fixed"))
        except Retry as error:
            return False if error.code == "unavailable" else self._fail(error)
        except Exception as error:  # noqa: BLE001 - the run raises it; nobody else waits for this task
            return self._fail(error)
        return True

    def _fail(self, fault: Exception) -> bool:
        self.fault = self.fault or fault
        self.failed.set()
        self._idle.set()
        self._moved()
        return False
