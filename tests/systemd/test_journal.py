"""What a real journal makes of the log: a priority for each entry, and one entry for a traceback."""

from __future__ import annotations

import json

from tests.support.eventually import eventually

from .guest import _LIB, _PYTHON, OPT, Guest

PROGRAM = """
import logging
from gateway.observe import logs
logs.setup("info", "text")
log = logging.getLogger("gateway.route")
log.info("usual", extra={"event": "route.up"})
try:
    {}["url"]
except KeyError:
    log.exception("step failed", extra={"event": "route.internal-error", "route": "r"})
log.warning("over", extra={"event": "route.forgot", "route": "r"})
"""
UNIT = f"""\
[Service]
Type=oneshot
Environment=PYTHONPATH={OPT}/source:{OPT}/packages LD_LIBRARY_PATH={_LIB}
ExecStart={_PYTHON} /opt/said.py
SyslogIdentifier=gateway
"""


async def test_a_traceback_is_one_entry_with_its_priority(booted: Guest) -> None:
    """As `journalctl -u UNIT -p err` shows it, beside the lines that came by stderr."""
    booted.write("/opt/said.py", PROGRAM)
    booted.write("/etc/systemd/system/said.service", UNIT)
    booted.run("systemctl", "daemon-reload")
    booted.run("systemctl", "start", "said")

    def entries() -> list[dict[str, str]]:
        lines = booted.run("journalctl", "-u", "said", "-o", "json", "--no-pager").stdout.splitlines()
        return [entry for entry in map(json.loads, lines) if entry["_COMM"] != "systemd"]

    await eventually(lambda: len(entries()) == 3, what="three entries")
    found = {entry["PRIORITY"]: entry["MESSAGE"] for entry in entries()}
    assert found["6"].endswith("INFO  usual")
    assert found["3"].splitlines()[0].endswith("ERROR step failed code=route-internal-error route=r")
    assert found["3"].splitlines()[-1] == "KeyError: 'url'"
    assert found["4"].endswith("WARN  over code=route-forgot route=r")
    assert "<" not in found["6"][:1] + found["4"][:1], "the journal has taken the priorities"
