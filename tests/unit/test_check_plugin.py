"""`check_plugin` on components that pass every test their author thought of, and would hold up or mislead a gateway."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from gateway import Attributes, Codec, Encoded, Event, Filter, Settings, Transform, hookimpl
from gateway.testing import PluginComplaints, check_plugin, make_component, make_event, run_step, watching


def complaints(component: type[Any]) -> str:
    kinds = {"filters": Filter, "transforms": Transform, "codecs": Codec}
    kind = next(kind for kind, base in kinds.items() if issubclass(component, base))
    hook = staticmethod(hookimpl(lambda: [component]))
    try:
        check_plugin(type("Plugin", (), {f"gateway_{kind}": hook})())
    except PluginComplaints as found:
        return str(found)
    return ""


class Sleepy(Filter, name="sleepy"):
    """Sleep where everybody waits."""

    def accepts(self, event: Event) -> bool:
        time.sleep(0.15)
        return True


class SleepyWithin(Transform, name="sleepy-within"):
    """Is a coroutine, and sleeps all the same."""

    async def apply(self, event: Event) -> Event:
        await asyncio.sleep(0)
        time.sleep(0.15)  # noqa: ASYNC251 - the slip this is about
        return event


@pytest.mark.parametrize("component", [Sleepy, SleepyWithin])
def test_a_call_that_holds_up_the_loop_is_a_complaint(component: type[Any]) -> None:
    text = complaints(component)
    assert "ms in which every route waits" in text
    assert "say blocking = True" in text


class InItsThread(Sleepy, name="in-its-thread"):
    """Sleep in a thread of its own."""

    blocking = True


class AtFirst(Filter, name="at-first"):
    """Load something once."""

    def prepare(self) -> None:
        self._loaded = False

    def accepts(self, event: Event) -> bool:
        if not self._loaded:
            time.sleep(0.15)
            self._loaded = True
        return True


@pytest.mark.parametrize("component", [InItsThread, AtFirst])
def test_what_blocks_in_its_own_thread_or_once_is_none(component: type[Any]) -> None:
    assert complaints(component) == ""


class Never(Transform, name="never"):
    """Wait for what does not come."""

    async def apply(self, event: Event) -> Event:
        await asyncio.Event().wait()
        return event


class Endless(Filter, name="endless"):
    """Never come back."""

    def accepts(self, event: Event) -> bool:
        time.sleep(3)
        return True


@pytest.mark.parametrize("component", [Never, Endless])
def test_a_call_that_does_not_end_in_time_is_a_complaint(component: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LIMIT", 0.2)
    monkeypatch.setattr(watching, "_GRACE", 0.2)
    assert "a call takes longer than 0.2 s, the time limit of a route" in complaints(component)


class Odd:
    """No type that a config can be read as."""


class PlainConfig(Filter, name="plain-config"):
    """Works as long as nobody sets anything."""

    class Config:
        """No Settings."""

        limit: int = 3

    def accepts(self, event: Event) -> bool:
        return True


class OddField(Filter, name="odd-field"):
    """Works as long as nobody sets that field."""

    class Config(Settings):
        """One field nobody can read."""

        odd: dict[str, Odd] | None = None

    def accepts(self, event: Event) -> bool:
        return True


@pytest.mark.parametrize(("component", "name"), [(PlainConfig, "Config"), (OddField, "Odd")])
def test_a_config_nobody_can_read_is_a_complaint(component: type[Any], name: str) -> None:
    """Without it, only the user who sets something learns of it."""
    assert f"its Config holds {name}, which cannot be read from a config" in complaints(component)


class Quitter(Filter, name="quitter"):
    """Ends the process, as a script would."""

    def accepts(self, event: Event) -> bool:
        raise SystemExit(3)


class QuitterWithin(Transform, name="quitter-within"):
    """Is a coroutine, and does the same."""

    async def apply(self, event: Event) -> Event:
        raise SystemExit(3)


@pytest.mark.parametrize("component", [Quitter, QuitterWithin])
def test_a_component_that_would_end_the_process_is_a_complaint(component: type[Any]) -> None:
    """A gateway goes on, and so does the check, which could end with a good exit code else."""
    assert "-error: SystemExit" in complaints(component)


class Good(Codec, name="good"):
    """Texts."""

    def decode(self, data: bytes, headers: Any, subject: str) -> Any:
        return {"text": data.decode()}

    def encode(self, body: Any, headers: Any) -> Encoded:
        return Encoded(body["text"].encode(), {"Content-Type": "text/plain"})

    def attributes(self, body: Any, headers: Any) -> Attributes:
        return Attributes(id=body["text"])


def bad(**methods: Any) -> type[Codec]:
    return type("Bad", (Good,), {"__doc__": "Texts.", "name": "bad", **methods})


@pytest.mark.parametrize(
    ("component", "text"),
    [
        (bad(encode=lambda self, body, headers: b"x"), "encode gave bytes instead of Encoded"),
        (bad(encode=lambda self, body, headers: None), "encode gave NoneType instead of Encoded"),
        (bad(encode=lambda self, body, headers: Encoded("x")), "whose data is str, not bytes"),  # type: ignore[arg-type]
        (bad(encode=lambda self, body, headers: Encoded(b"", {"n": 1})), "not texts by name"),  # type: ignore[dict-item]
        (bad(decode=lambda self, data, headers, subject: {"a": [object()]}), "decode gave a body that holds object"),
        (bad(attributes=lambda self, body, headers: None), "attributes gave NoneType instead of Attributes"),
        (bad(attributes=lambda self, body, headers: Attributes(id=7)), "attributes gave int as id"),  # type: ignore[arg-type]
        (
            bad(decode=lambda self, data, headers, subject: time.sleep(0.15)),
            "in which every route waits: make it quick",
        ),
    ],
)
def test_a_codec_that_gives_what_the_contract_does_not_know_is_a_complaint(component: type[Any], text: str) -> None:
    assert text in complaints(component)


def test_a_codec_that_refuses_what_it_does_not_know_is_none() -> None:
    assert complaints(Good) == ""


def test_a_name_instead_of_a_component_is_told_so() -> None:
    name: Any = "acme"
    with pytest.raises(TypeError, match="'acme' is no filter or transform: give the class"):
        run_step(name, make_event({}))
    with pytest.raises(TypeError, match="'acme' is no Codec, Filter, Transform or Audit: give the class"):
        make_component(name)
