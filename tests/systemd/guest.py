"""A guest with a systemd of its own, in namespaces over this machine's root file system, which stays as it is."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any, Self

from gateway.jetstream.server import server_binary, tied_to_us
from tests.support.distribution import install

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
UNITS = ROOT / "systemd"

OPT = "/opt/nats-event-gateway"
"""Where the gateway is installed in the guest, as the guide says."""
PATHS = f"{OPT}/source:{OPT}/packages:/opt/plugins"
"""Where Python finds them."""
_LIB = f"{OPT}/python/lib"
"""An interpreter that was built shared looks for its library where it was installed, which may be in a home."""
_PYTHON = f"{OPT}/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"

NATS = """\
[Unit]
Description=NATS server
[Service]
ExecStart=/usr/local/bin/nats-server -a 127.0.0.1 -p 4222 -js -sd /var/lib/nats
"""


def why_not() -> str:
    """Why no guest can be booted here; empty when one can."""
    if os.geteuid() != 0:
        return "not root"
    missing = [tool for tool in ("unshare", "nsenter", "ip", "/lib/systemd/systemd") if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--cgroup", "--net", "sh", "-c", "mount -t tmpfs tmpfs /mnt"],
        capture_output=True,
        text=True,
    )
    return "" if tried.returncode == 0 else f"no namespaces: {tried.stderr.strip()}"


class NotBooted(Exception):
    """This machine lets no guest come up; the text says how far it came."""


class Guest:
    """Boots with the gateway under /opt, its units, and a nats-server that is not started."""

    def __init__(self, folder: Path) -> None:
        """`folder` is empty; what is put under `files` before `boot` is in the guest's root."""
        self._work = folder / "work"
        self.files = folder / "files"
        self._log = folder / "boot.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0
        self._hand: subprocess.Popen[str] | None = None
        self._work.mkdir(parents=True)
        self._install()

    def _install(self) -> None:
        self.write(f"{OPT}/bin/gateway", f'#!/bin/sh\nLD_LIBRARY_PATH={_LIB} exec {_PYTHON} -m gateway "$@"\n', 0o755)
        self.write("/usr/local/bin/gateway", (UNITS / "gateway.sh").read_text(), 0o755)
        self.write("/etc/systemd/system/nats-server.service", NATS)
        # As a drop-in, since in the guest the packages are not in the interpreter's own folder.
        for unit in UNITS.glob("*.service"):
            self.write(f"/etc/systemd/system/{unit.name}", unit.read_text())
            self.write(f"/etc/systemd/system/{unit.name}.d/0-test.conf", f"[Service]\nEnvironment=PYTHONPATH={PATHS}\n")
        shutil.copy(server_binary(), self.files / "usr/local/bin/nats-server")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file: of the running guest, or one that it will boot with."""
        root = self.files if not self._init else Path(f"/proc/{self._init}/root")
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def install(self, name: str, version: str, source: str) -> None:
        """Install a plugin of one module, or another version of it."""
        root = self.files if not self._init else Path(f"/proc/{self._init}/root")
        install(root / "opt/plugins", name, version, {name: source})

    def boot(self, timeout: float = 60.0) -> None:
        """Start, and wait until systemd says that it runs."""
        binds = [
            f"{sys.base_prefix}:{OPT}/python",
            f"{ROOT}:{OPT}/source",
            f"{sysconfig.get_path('purelib')}:{OPT}/packages",
        ]
        command = tied_to_us([str(HERE / "boot.sh"), str(self._work), str(self.files), *binds])
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            self._init = self._init or self._find_init()
            if self._init and self.run("systemctl", "is-system-running", check=False).stdout.strip() == "running":
                return
            time.sleep(0.1)
        raise NotBooted(self._log.read_text() or "it never said that it runs")

    def _find_init(self) -> int:
        """The guest's process 1, as it is numbered outside: below boot.sh and unshare."""
        assert self._process is not None
        pid = self._process.pid
        # What it calls to make ready comes and goes between two looks.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for _ in range(4):
                if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                    return pid
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                if not children:
                    break
                pid = int(children[-1])
        return 0

    def run(self, *command: str, check: bool = True, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        done = subprocess.run([*self._inside(), *command], capture_output=True, text=True, timeout=timeout)
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def tell(self, do: str, **what: Any) -> Any:
        """Let `inside.py` do something; its answer. One process for all: an interpreter takes long to start."""
        if self._hand is None:
            program = [
                "env",
                f"PYTHONPATH={OPT}/source:{OPT}/packages",
                f"LD_LIBRARY_PATH={_LIB}",
                _PYTHON,
                "-m",
                "tests.systemd.inside",
            ]
            self._hand = subprocess.Popen(
                [*self._inside(), *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self._hand.stdin is not None
        assert self._hand.stdout is not None
        self._hand.stdin.write(f"{json.dumps({'do': do, **what})}\n")
        self._hand.stdin.flush()
        answer = json.loads(self._hand.stdout.readline())
        assert "failed" not in answer, (do, answer)
        return answer["answer"]

    def _inside(self) -> list[str]:
        return ["nsenter", "-t", str(self._init), "-m", "-p", "-i", "-u", "-n", "-C"]

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "-P", name, unit).stdout.strip()

    def journal(self, unit: str) -> str:
        """What a unit wrote."""
        return self.run("journalctl", "-u", unit, "-o", "cat", "--no-pager").stdout

    def until(self, condition: str, unit: str, name: str, timeout: float = 30.0) -> str:
        """Wait until a property of a unit holds `condition`; returns it."""
        end = time.monotonic() + timeout
        while condition not in (value := self.show(unit, name)):
            assert time.monotonic() < end, f"{unit} {name}: {value!r}, never {condition!r}\n{self.journal(unit)}"
            time.sleep(0.05)
        return value

    def stop(self) -> None:
        """End the guest and everything in it."""
        if self._hand is not None:
            self._hand.communicate(timeout=30)
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
