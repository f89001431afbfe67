"""What tests of the log share."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from gateway.observe import logs


@pytest.fixture
def root_log() -> Iterator[None]:
    """The log may be set up as the test likes: its handlers and levels are as before in the end."""
    root = logging.getLogger()
    level, others = root.level, list(root.handlers)
    yield
    for handler in [handler for handler in root.handlers if handler not in others]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    for name in logs.QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def stream(root_log: None) -> io.StringIO:
    """Where a log goes that the test sets up."""
    return io.StringIO()


@pytest.fixture
def json_log(stream: io.StringIO) -> io.StringIO:
    """What the log writes, as lines of JSON."""
    logs.setup("info", "json", {}, stream)
    return stream
