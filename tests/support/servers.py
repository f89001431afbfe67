"""Changing a running server's config."""

from __future__ import annotations

import os
import signal

from nats.aio.client import Client

from gateway.jetstream.server import EmbeddedServer

from .eventually import eventually


def permissions(rules: str, password: str = "gw") -> str:
    """A config with a user `gw` under these rules; whoever says no name may do everything."""
    return f"""
    authorization {{ users: [
      {{ user: all, password: all }}
      {{ user: gw, password: "{password}", permissions: {{ {rules} }} }}
    ] }}
    no_auth_user: all
    """


def gateway_url(server: EmbeddedServer) -> str:
    """Where the user `gw` connects."""
    return server.url.replace("//", "//gw:gw@")


async def restart_with(server: EmbeddedServer, nc: Client, config: str) -> None:
    """Start the server again with another config, and wait until `nc` is back."""
    await server.stop()
    server._config_text = config
    await server.start()
    await eventually(lambda: nc.is_connected, what="client reconnected")


def reload_with(server: EmbeddedServer, config: str) -> None:
    """Have the running server take another config, as an administrator does; it has been started with one."""
    (server.store_dir / "nats-server.conf").write_text(config)
    server._config_text = config
    os.kill(server.pid, signal.SIGHUP)
