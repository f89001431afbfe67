"""The plugin that docs/plugins.md shows is one."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from gateway.config.loader import examine_text
from gateway.observe.lines import JsonFormatter
from gateway.registry import Status, load_plugins
from gateway.routing.compile import compile_config
from gateway.routing.run import Passed, Stopped, run
from tests.unit.build import make_event

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
CONFIG = """
routes:
  - name: large
    source: {stream: ORDERS, subjects: [orders.>]}
    filters: [{above: {path: detail.total, limit: 100}}]
    targets: [{subject: large.orders}]
"""


class Shown:
    """An entry point whose module is the page's Python block."""

    name = "acme"
    value = "acme_gateway"

    def load(self) -> ModuleType:
        """Run the block as a module."""
        block = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        assert block is not None
        module = ModuleType(self.value)
        sys.modules[self.value] = module
        exec(block[1], vars(module))
        return module


@pytest.fixture(autouse=True)
def clean_modules() -> Iterator[None]:
    """The page's module is gone after the test."""
    yield
    sys.modules.pop("acme_gateway", None)


def test_the_kit_does_with_it_what_the_page_says() -> None:
    """The block marked as a test runs as it stands."""
    module = Shown().load()
    block = re.search(r"```python test\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    exec(block[1], {"acme_gateway": module, "Above": module.Above})


def test_a_line_logged_as_the_page_says_has_a_code_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """The block marked as a line runs as it stands; without its event the code would be another."""
    block = re.search(r"```python line\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    component = SimpleNamespace(context=SimpleNamespace(log=logging.getLogger("gateway.plugin.acme")))
    exec(block[1], {"self": component, "age": 90})
    (record,) = caplog.records
    line = json.loads(JsonFormatter().format(record))
    assert (line["event"], line["code"], line["message"]) == ("acme.stale", "acme-stale", "the table is 90 s old")
    assert f"here `{line['code']}`" in PAGE.read_text(encoding="utf-8")


def test_the_plugin_of_the_page_loads_and_decides() -> None:
    """It is found, its config is read with the types it names, and it keeps what it says it keeps."""
    registry = load_plugins(entry_points=[Shown()])
    assert [(health.name, health.status) for health in registry.health][1:] == [("acme", Status.OK)]
    loaded = examine_text(CONFIG, registry=registry)
    assert loaded.config is not None, loaded.problems
    (route,), problems = compile_config(loaded.config, registry)
    assert problems == []
    assert isinstance(run(route, make_event({"detail": {"total": 100.5}})), Passed)
    assert isinstance(run(route, make_event({"detail": {"total": 99}})), Stopped)
