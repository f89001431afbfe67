"""The exit codes of all commands."""

from __future__ import annotations

from typing import Final

GOOD: Final = 0
FINDINGS: Final = 1
"""Findings or failed tests."""
USAGE: Final = 2
"""Wrong options or arguments; click's own."""
UNREACHABLE: Final = 69
"""No connection to a server within `--timeout`, or one that waiting does not bring: refused, TLS, a file."""
INTERNAL: Final = 70
"""A fault of the gateway itself."""
TRY_AGAIN: Final = 75
"""Not now: the HTTP port is taken (`run`), or the connection was lost or closed for good (one-shot commands)."""
CONFIG_INVALID: Final = 78
"""The config cannot be used; where finding that out is what the command is for, FINDINGS."""
INTERRUPTED: Final = 130
"""Ended by Ctrl-C."""
