"""The kit for plugin authors: events, steps and whole plugins in a test, without a server.

`make_event` makes an event, `make_component` a component from plain data as a config holds it, `run_step` runs one
filter or transform as a route would, `check_plugin` complains of everything a plugin gets wrong. With pytest the
fixtures `nats_server` and `run_gateway` are there as well: a real nats-server, and real gateways on it
(`gateway.testing.fixtures`).
"""

from .checking import PluginComplaints, check_plugin
from .events import make_event
from .steps import StepResult, make_component, run_step

__all__ = ["PluginComplaints", "StepResult", "check_plugin", "make_component", "make_event", "run_step"]
