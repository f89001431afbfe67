"""`gateway.testing`: what plugin authors get to try their components without a server."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from gateway import Audit, Drop, Event, Filter, Path, Reject, Retry, Settings, Transform, hookimpl
from gateway.errors import ConfigError, DecodeError
from gateway.testing import PluginComplaints, check_plugin, make_component, make_event, run_step


class Above(Filter, name="above"):
    """Keep events whose number at `path` is above `limit`."""

    class Config(Settings):
        """A default before a required field: the order is free."""

        limit: float = 100
        path: Path

    config: Config
    example: ClassVar[Any] = {"path": "detail.total"}

    def accepts(self, event: Event) -> bool:
        value = event.get(self.config.path)
        return isinstance(value, (int, float)) and value > self.config.limit

    def explain(self, event: Event) -> str:
        return "not above"


class Doing(Transform, name="doing"):
    """Do what the event says."""

    codes = ("refused",)
    opened: ClassVar[list[str]] = []

    def open(self) -> None:
        Doing.opened.append("open")

    async def close(self) -> None:
        Doing.opened.append("close")

    async def apply(self, event: Event) -> Any:
        await asyncio.sleep(0)
        what = event.get("do")
        if what == "reject":
            raise Reject("refused", "it says so")
        if what == "retry":
            raise Retry("later")
        if what == "crash":
            raise KeyError("secret of the event")
        return {"drop": Drop("enough"), "split": [event, event.set("n", 2)], "nothing": None}.get(what, event)


def plugin(*components: type[Any]) -> Any:
    """An object that offers these components."""
    kinds = {"filters": Filter, "transforms": Transform, "audits": Audit}
    offers = {kind: [own for own in components if issubclass(own, base)] for kind, base in kinds.items()}
    hooks = {f"gateway_{kind}": staticmethod(hookimpl(lambda own=own: own)) for kind, own in offers.items() if own}
    return type("Plugin", (), hooks)()


def complaints(*components: type[Any]) -> str:
    with pytest.raises(PluginComplaints) as found:
        check_plugin(plugin(*components))
    return str(found.value)


def test_an_event_has_what_the_test_says_and_sensible_values_else() -> None:
    event = make_event({"id": "7", "a": [1]}, headers={"X-Tenant": "acme"}, subject="a.b", sequence=9, deliveries=3)
    assert (event.body, event.id, event.subject) == ({"id": "7", "a": [1]}, "7", "a.b")
    assert (event.headers["x-tenant"], event.meta.sequence, event.meta.deliveries) == ("acme", 9, 3)
    assert (event.meta.stream, event.meta.route, event.meta.gateway, event.meta.attempt) == (
        "ORDERS",
        "test",
        "gateway",
        1,
    )
    assert event.meta.stored_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_codec_of_an_event_is_a_name_or_a_name_with_its_config() -> None:
    assert make_event({"detail-type": "Paid"}, codec="eventbridge").type == "Paid"
    assert make_event({"kind": "Paid"}, codec={"json": {"type": "kind"}}).type == "Paid"
    assert make_event({"a": b"\x00"}, codec="msgpack").body == {"a": b"\x00"}
    with pytest.raises(LookupError, match="did you mean"):
        make_event({}, codec="jsn")


def test_bytes_are_the_payload_as_it_came() -> None:
    assert make_event(b' {"a": 1}').body == {"a": 1}
    with pytest.raises(DecodeError):
        make_event(b"{")


def test_a_filter_s_verdict_is_that_of_a_route() -> None:
    config = {"path": "detail.total", "limit": 3}
    assert run_step(Above, make_event({"detail": {"total": 5}}), config).passed
    refused = run_step(Above, make_event({"detail": {"total": 2}}), config)
    assert (refused.verdict, refused.reason, refused.events) == ("filtered", "not above", ())


@pytest.mark.parametrize(
    ("do", "verdict", "code", "reason", "events"),
    [
        ("go", "passed", "", "", 1),
        ("split", "passed", "", "", 2),
        ("drop", "dropped", "", "enough", 0),
        ("reject", "failed", "refused", "it says so", 0),
        ("retry", "again", "retry", "later", 0),
        ("crash", "failed", "transform-error", "KeyError in tests/unit/test_testing_kit.py:", 0),
        ("nothing", "failed", "transform-error", "a NoneType", 0),
    ],
)
def test_a_transform_s_answer_is_what_a_route_makes_of_it(
    do: str, verdict: str, code: str, reason: str, events: int
) -> None:
    result = run_step(Doing, make_event({"do": do}))
    assert (result.verdict, result.code, len(result.events)) == (verdict, code, events)
    assert reason in result.reason
    assert "secret" not in result.reason


def test_a_class_is_opened_before_and_closed_after_its_event() -> None:
    Doing.opened.clear()
    run_step(Doing, make_event({}))
    assert Doing.opened == ["open", "close"]


def test_a_component_made_before_is_used_as_it_is() -> None:
    made = make_component(Above, {"path": "total"})
    assert made.config.limit == 100
    assert run_step(made, make_event({"total": 101})).passed


async def test_a_step_can_be_run_inside_a_running_loop() -> None:
    before = threading.active_count()
    assert run_step(Doing, make_event({"do": "split"})).passed
    assert threading.active_count() == before


def test_the_only_event_is_asked_for_only_when_there_is_one() -> None:
    assert run_step(Above, make_event({"total": 200}), {"path": "total"}).event.body == {"total": 200}
    with pytest.raises(AssertionError, match="passed with 2 events"):
        run_step(Doing, make_event({"do": "split"})).event  # noqa: B018


def test_settings_reach_the_component() -> None:
    class Own(Settings):
        """What the plugin takes."""

        tenant: str

    class Mine(Filter, name="mine"):
        """Keep what is ours."""

        def accepts(self, event: Event) -> bool:
            return bool(event.get("tenant") == self.context.settings.tenant)

    assert run_step(Mine, make_event({"tenant": "acme"}), settings=Own(tenant="acme")).passed


def test_a_config_is_refused_with_the_words_of_check() -> None:
    with pytest.raises(ConfigError, match="did you mean"):
        make_component(Above, {"path": "a", "limt": 3})


def test_the_built_ins_and_a_good_plugin_leave_nothing_to_complain_about() -> None:
    check_plugin("builtin")
    check_plugin(plugin(Above, Doing))


def test_a_plugin_that_is_not_there_is_a_complaint() -> None:
    with pytest.raises(PluginComplaints, match="no plugin called 'nobody' is installed"):
        check_plugin("nobody")
    with pytest.raises(PluginComplaints, match="it has no hook"):
        check_plugin(object())


class Mute(Filter, name="mute"):
    codes = ("Not Kebab",)
    blocking = 1  # type: ignore[assignment]

    def accepts(self, event: Event, more: int) -> bool:  # type: ignore[override]
        return True


def test_missing_words_odd_flags_and_wrong_arguments_are_complaints() -> None:
    text = complaints(Mute)
    for part in ("no summary", "'Not Kebab' is not kebab-case", "blocking is 1", "accepts(self, event", "1 argument"):
        assert part in text


class Loose(Filter, name="loose"):
    """Takes what it is given."""

    class Config(Settings, forbid_unknown_fields=False):
        """Anything."""

        limit: int

    def accepts(self, event: Event) -> bool:
        return True


def test_a_config_without_example_and_one_that_takes_anything_are_complaints() -> None:
    text = complaints(Loose)
    assert "it needs settings, and has no example" in text
    assert "derive it from gateway.Settings" in text


class Careless(Filter, name="careless"):
    """Believe in events."""

    def accepts(self, event: Event) -> bool:
        return bool(event.body["detail"]["total"] > 3)


class Changing(Transform, name="changing"):
    """Change what is everybody's."""

    def apply(self, event: Event) -> Event:
        if isinstance(event.body, dict):
            event.body["x"] = 1
        return event


class Fickle(Filter, name="fickle"):
    """Say something else each time."""

    said: ClassVar[bool] = False

    def accepts(self, event: Event) -> bool:
        Fickle.said = not Fickle.said
        return Fickle.said


@pytest.mark.parametrize(
    ("component", "text"),
    [
        (Careless, "for the body {} it is a filter-error: KeyError"),
        (Changing, "it changed the event it was given"),
        (Fickle, "and then something else"),
    ],
)
def test_slips_that_show_with_odd_events_are_complaints(component: type[Any], text: str) -> None:
    assert text in complaints(component)


class Waits(Filter, name="waits"):
    """Waits for what it does not know at once."""

    may_wait = True

    def accepts(self, event: Event) -> Any:
        async def later() -> bool:
            return True

        return later()


def test_a_component_made_before_may_wait_too() -> None:
    assert run_step(Waits, make_event({})).passed
    assert run_step(make_component(Waits), make_event({})).passed
