"""A client as the config asks for it, before it is connected, and with what it is."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..config import model
from .denials import Denials
from .signin import fingerprint, identity, sign_in, tls_context, wants_tls
from .wire import Wire


def client(config: model.Nats, denials: Denials) -> Wire:
    """A new client, which reads its files anew with each try and tells `denials` what the server does not let us do."""
    wire = Wire()
    wire.on_denied = denials.note
    wire.on_deaf = denials.note_deafness
    wire.require_tls = wants_tls(config)
    wire.identity = partial(identity, config)
    wire.refusals.fingerprint = partial(fingerprint, config)
    if config.tls is not None:
        wire.fresh_tls = partial(tls_context, config.tls)
    return wire


def options(config: model.Nats, name: str, inbox_prefix: str) -> dict[str, Any]:
    """What nats-py connects with: for ever, and noticing within 30 s that a server says nothing any more.

    The prefix of the inboxes is the one the process began with, whatever `config` says by now.
    """
    return {
        "servers": config.servers,
        "name": f"nats-event-gateway {name}",
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.25,  # Seconds; nats-py only sleeps for it, though it is annotated as a whole number.
        "connect_timeout": 2,
        "ping_interval": 10,
        "max_outstanding_pings": 2,
        "pending_size": 8 << 20,
        "inbox_prefix": inbox_prefix.encode(),
        "skip_subject_validation": True,
        **sign_in(config),
    }
