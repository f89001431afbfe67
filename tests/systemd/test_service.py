"""The shipped units under a real systemd: start, reload, watchdog, crash, stop."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from .conftest import CONFIG, HANG, different, drop_in, page, publish, stored
from .guest import OPT, PATHS, UNITS, Guest

OTHER = CONFIG.replace("name: one", "name: two").replace("out.one", "out.two")


def wait(condition: Callable[[], bool], what: str, timeout: float = 30.0) -> None:
    """Until it holds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


@pytest.mark.parametrize("unit", ["gateway.service", "gateway@orders.service"])
def test_systemd_has_nothing_to_say_about_the_units(guest: Guest, unit: str) -> None:
    """Unknown keys and bad values are mere warnings, with exit code 0."""
    said = guest.run("systemd-analyze", "verify", unit)
    assert said.stderr == ""


def test_the_template_is_the_unit_with_a_name() -> None:
    """What is mended in one must be mended in the other."""
    one, other = ((UNITS / name).read_text().splitlines() for name in ("gateway.service", "gateway@.service"))
    own = [line for line in other if line not in one and not line.startswith("#")]
    assert own == [
        "Description=NATS event gateway %i",
        "Environment=GATEWAY_CONFIG=/etc/gateway/%i.yaml",
        "EnvironmentFile=-/etc/gateway/%i.env",
        f"ExecStart={OPT}/bin/gateway run",
        f"ExecReload={OPT}/bin/gateway check --no-credentials",
        "StateDirectory=gateway-%i",
        "WorkingDirectory=%S/gateway-%i",
    ]
    missing = [line for line in one if line not in other and not line.startswith("#")]
    assert len(missing) == len(own) - 1


def test_it_starts_says_what_it_does_and_drains_at_the_stop(guest: Guest) -> None:
    """`systemctl start` returns when the routes are begun; `stop` ends with exit code 0 and nothing in flight."""
    guest.run("systemctl", "start", "gateway")
    assert guest.show("gateway", "StatusText") == "1 of 1 routes up, 0 events/s"
    assert guest.show("gateway", "FileDescriptorStoreMax") == "0"
    publish(guest, *["{}"] * 50)
    wait(lambda: stored(guest) == 50, "50 events routed")
    guest.run("systemctl", "stop", "gateway")
    assert guest.show("gateway", "Result") == "success"
    assert guest.show("gateway", "ExecMainStatus") == "0"
    assert '"event":"gateway.drained"' in guest.journal("gateway")


def test_it_starts_without_a_server_and_finds_it_later(guest: Guest) -> None:
    """Readiness is not health: a server that is away must not make systemd kill the gateway."""
    guest.run("systemctl", "stop", "nats-server")
    guest.run("systemctl", "start", "gateway")
    assert guest.show("gateway", "StatusText").startswith("not connected to NATS")
    guest.run("systemctl", "start", "nats-server")
    guest.until("1 of 1 routes up", "gateway", "StatusText")


def test_a_reload_takes_a_good_config_and_refuses_a_bad_one(guest: Guest) -> None:
    """A bad one fails the command, which prints the problem, and the old config goes on."""
    guest.run("systemctl", "start", "gateway")
    guest.write("/etc/gateway/gateway.yaml", OTHER)
    guest.run("systemctl", "reload", "gateway")
    wait(lambda: '"event":"config.reloaded"' in guest.journal("gateway"), "reloaded")
    guest.write("/etc/gateway/gateway.yaml", OTHER.replace("targets:", "target:"))
    refused = guest.run("systemctl", "reload", "gateway", check=False)
    assert refused.returncode != 0
    assert "gateway.yaml:11:5: routes[0].target: unknown field" in guest.journal("gateway")
    publish(guest, "{}")
    wait(lambda: stored(guest) == 1, "routed by the config before")
    assert guest.show("gateway", "NRestarts") == "0"


def test_without_the_check_the_gateway_refuses_a_bad_config_itself(guest: Guest) -> None:
    """As with notify-reload, or a credential that the check before cannot see."""
    drop_in(guest, "[Service]\nExecReload=\nExecReload=/bin/kill -HUP $MAINPID\n")
    guest.run("systemctl", "start", "gateway")
    guest.write("/etc/gateway/gateway.yaml", OTHER.replace("targets:", "target:"))
    guest.run("systemctl", "reload", "gateway")
    guest.until("the last reload failed", "gateway", "StatusText")
    assert guest.show("gateway", "ActiveState") == "active"
    errors = guest.run("journalctl", "-u", "gateway", "-p", "err", "-o", "cat", "--no-pager").stdout.splitlines()
    assert errors, "the journal knows the priority of each line"
    assert all(line.startswith("{") and '"event":"config.reload-failed"' in line for line in errors), errors


def test_a_drain_may_take_longer_than_the_unit_allows_a_stop(guest: Guest) -> None:
    """The config says how long, and tells systemd; nobody need keep two settings in step."""
    drop_in(guest, "[Service]\nTimeoutStopSec=1s\n")
    guest.run("systemctl", "start", "gateway")
    publish(guest, '{"wait": 4}')
    wait(lambda: "gateway_events_in_flight" in page(guest, "/metrics")[1], "served")
    wait(lambda: 'gateway_events_in_flight{route="one"} 1' in page(guest, "/metrics")[1], "in flight")
    guest.run("systemctl", "stop", "gateway")
    assert guest.show("gateway", "Result") == "success"
    assert "drained: 1 settled, 0 returned" in guest.journal("gateway")
    assert stored(guest) == 1


def test_a_stuck_event_loop_is_killed_and_started_again(guest: Guest) -> None:
    """By the watchdog, with the line it was stuck in."""
    drop_in(guest, "[Service]\nWatchdogSec=3s\nRestartSec=100ms\n")
    guest.run("systemctl", "start", "gateway")
    publish(guest, '{"hang": true}')
    guest.until("1", "gateway", "NRestarts", timeout=40)
    said = guest.journal("gateway")
    assert "Watchdog timeout" in said
    assert "Fatal Python error: Aborted" in said
    assert 'File "/opt/plugins/hang.py", line 14 in accepts' in said


def test_a_killed_gateway_is_started_again_and_nothing_is_lost(guest: Guest) -> None:
    """What was in flight is delivered again."""
    drop_in(guest, "[Service]\nRestartSec=100ms\n")
    guest.run("systemctl", "start", "gateway")
    publish(guest, *["{}"] * 20)
    guest.run("systemctl", "kill", "-s", "KILL", "gateway")
    publish(guest, *["{}"] * 20)
    guest.until("1", "gateway", "NRestarts")
    wait(lambda: stored(guest) == 40, "40 events routed")


def test_a_bad_config_is_not_tried_for_ever(guest: Guest) -> None:
    """Exit code 78 ends it; the journal says what is wrong where."""
    guest.write("/etc/gateway/gateway.yaml", CONFIG.replace("targets:", "target:"))
    assert guest.run("systemctl", "start", "gateway", check=False).returncode != 0
    guest.until("failed", "gateway", "ActiveState")
    assert guest.show("gateway", "ExecMainStatus") == "78"
    assert guest.show("gateway", "NRestarts") == "0"
    assert "gateway.yaml:11:5: routes[0].target: unknown field" in guest.journal("gateway")


def test_credentials_are_read_and_shown_to_nobody(guest: Guest) -> None:
    """A file that only root can read, in the config as ${credential:NAME}."""
    guest.write("/etc/gateway/credentials/word", "out.secret-word\n", 0o600)
    guest.write("/etc/gateway/gateway.yaml", CONFIG.replace("out.one", '"${credential:word}"'))
    drop_in(guest, "[Service]\nLoadCredential=word:/etc/gateway/credentials/word\n")
    guest.run("systemctl", "start", "gateway")
    publish(guest, "{}")
    wait(lambda: stored(guest) == 1, "published under the subject in the credential")
    assert "secret-word" not in guest.journal("gateway") + guest.run("systemctl", "status", "gateway").stdout


def test_the_command_in_root_s_shell_reads_what_the_service_reads(guest: Guest) -> None:
    """Its variables and its credentials; the bare program has neither, and says so."""
    guest.write("/etc/gateway/credentials/word", "secret-word\n", 0o600)
    guest.write("/etc/gateway/gateway.env", "FIRST=out\n")
    guest.write("/etc/gateway/2.env", "FIRST=out.second\n")
    guest.write("/etc/gateway/gateway.yaml", CONFIG.replace("out.one", '"${FIRST}.${credential:word}"'))
    drop_in(guest, "[Service]\nLoadCredential=word:/etc/gateway/credentials/word\n")
    guest.run("systemctl", "start", "gateway")
    bare = guest.run("env", f"PYTHONPATH={PATHS}", f"{OPT}/bin/gateway", "check", check=False)
    assert 'credential "word" is not there: $CREDENTIALS_DIRECTORY is not set' in bare.stdout + bare.stderr
    guest.run("env", f"PYTHONPATH={PATHS}", "gateway", "check", "--live")
    instance = guest.run(
        "env", f"PYTHONPATH={PATHS}", "GATEWAY_ENV=/etc/gateway/2.env", "gateway", "permissions", "--json"
    )
    assert "out.second.secret-word" in instance.stdout


def test_with_credentials_too_a_bad_config_fails_the_reload_and_a_good_one_is_taken(guest: Guest) -> None:
    """systemd hides credentials from the check before the signal, which needs them not; the gateway reads them anew."""
    guest.write("/etc/gateway/credentials/old", "out.old-word\n", 0o600)
    guest.write("/etc/gateway/credentials/new", "out.new-word\n", 0o600)
    old, new = (CONFIG.replace("out.one", f'"${{credential:{name}}}"') for name in ("old", "new"))
    loads = "".join(f"LoadCredential={name}:/etc/gateway/credentials/{name}\n" for name in ("old", "new"))
    drop_in(guest, f"[Service]\n{loads}")
    guest.write("/etc/gateway/gateway.yaml", old)
    guest.run("systemctl", "start", "gateway")

    guest.write("/etc/gateway/gateway.yaml", new.replace("targets:", "target:"))
    refused = guest.run("systemctl", "reload", "gateway", check=False)
    assert refused.returncode != 0
    assert "gateway.yaml:11:5: routes[0].target: unknown field" in guest.journal("gateway")
    publish(guest, "{}")
    wait(lambda: stored(guest) == 1, "routed by the config before")
    assert guest.tell("subjects", stream="OUT") == ["out.old-word"]

    guest.write("/etc/gateway/gateway.yaml", new)
    guest.run("systemctl", "reload", "gateway")
    wait(lambda: '"event":"config.reloaded"' in guest.journal("gateway"), "reloaded")
    assert "not checked, for credentials are not read: routes[0].targets[0].subject" in guest.journal("gateway")
    publish(guest, "{}")
    wait(lambda: stored(guest) == 2, "routed by the new config")
    assert guest.tell("subjects", stream="OUT") == ["out.new-word", "out.old-word"]
    assert guest.show("gateway", "NRestarts") == "0"

    guest.write("/etc/gateway/gateway.yaml", new.replace("credential:new", "credential:none"))
    guest.run("systemctl", "reload", "gateway")
    guest.until("the last reload failed", "gateway", "StatusText")
    assert not re.search("(old|new)-word", guest.journal("gateway"))


def test_nothing_is_written_outside_the_state_directory(guest: Guest) -> None:
    """A file audit in the state directory works; the rest of the file system is read-only for the service."""
    audit = "    audits: [{file: {path: audit.jsonl}}]\n"
    guest.write("/etc/gateway/gateway.yaml", CONFIG + audit)
    guest.run("touch", "/var/lib/before")
    guest.run("systemctl", "start", "gateway")
    publish(guest, "{}")
    wait(lambda: stored(guest) == 1, "routed")
    guest.run("systemctl", "stop", "gateway")
    places = ["/etc", "/opt/plugins", "/srv", "/var"]
    newer = guest.run("find", *places, "-xdev", "-newer", "/var/lib/before", "-type", "f").stdout.split()
    ours = [path for path in newer if not path.startswith(("/var/log/journal/", "/var/lib/nats/", "/var/lib/systemd/"))]
    assert [path for path in ours if not path.startswith("/var/lib/private/gateway/")] == []
    assert "/var/lib/private/gateway/audit.jsonl" in ours


def routed(guest: Guest, port: int) -> int:
    """How many events an instance has published."""
    found = re.search(r'gateway_events_total\{[^}]*outcome="published"[^}]*\} (\d+)', page(guest, "/metrics", port)[1])
    return int(found[1]) if found else 0


def test_instances_of_the_template_share_one_config(guest: Guest) -> None:
    """`gateway@a` and `gateway@b` run one config on ports of their own; what a killed one held comes to the other.

    One command reloads or stops them all. An upgrade restarts one after the other, and the work goes on.
    """
    ports = {"a": 9501, "b": 9502}
    for name, port in ports.items():
        guest.write(f"/etc/gateway/{name}.env", f"GATEWAY_CONFIG=/etc/gateway/gateway.yaml\nPORT={port}\n")
    drop_in(guest, "[Service]\nRestartSec=100ms\n", "gateway@.service")
    guest.run("systemctl", "start", "gateway@a", "gateway@b")
    bodies = [f'{{"wait": 0.2, "n": {number}}}' for number in range(200)]
    publish(guest, *bodies[:50])
    wait(lambda: stored(guest) == 50, "50 events routed")
    assert all(routed(guest, port) > 0 for port in ports.values()), "each had its share"

    publish(guest, *bodies[50:100])
    guest.run("systemctl", "kill", "-s", "KILL", "gateway@b")
    guest.until("1", "gateway@b", "NRestarts")
    wait(lambda: stored(guest) == 100, "what it held was routed by the other, or by it later")

    guest.until("running", "gateway@b", "SubState")
    guest.run("systemctl", "reload", "gateway@*")
    for name in ports:
        wait(lambda name=name: '"event":"config.reloaded"' in guest.journal(f"gateway@{name}"), f"{name} reloaded")  # type: ignore[misc]

    guest.install("hang", "1.1", HANG)
    for start, (name, port) in zip((100, 150), ports.items(), strict=True):
        publish(guest, *bodies[start : start + 50])
        guest.run("systemctl", "restart", f"gateway@{name}")
        wait(lambda port=port: page(guest, "/readyz", port)[0] == 200, "ready")  # type: ignore[misc]
        shown = [line for line in page(guest, "/metrics", port)[1].splitlines() if 'plugin="hang"' in line]
        assert any('version="1.1"' in line for line in shown), shown
    wait(lambda: stored(guest) == 200, "nothing was lost")
    assert different(guest) == 200, "and nothing sent twice"

    guest.run("systemctl", "stop", "gateway@*")
    assert [guest.show(f"gateway@{name}", "Result") for name in ports] == ["success", "success"]
