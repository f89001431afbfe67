"""Routes through plugins that do everything wrong, what must become of their events, and the account of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from nats.aio.client import Client

from tests.support.distribution import install
from tests.support.streams import Stored, consumer_state
from tests.support.witness import read_all

SOURCES = Path(__file__).parent / "hostile"
STREAM = "IN"


class Fate(NamedTuple):
    """What becomes of a hostile route while its plugin is not mended."""

    fields: dict[str, Any]
    bad: str = ""
    """The code every third event is dead-lettered under; empty: it is not."""
    down: str = ""
    """The code the route is down with; empty: it is up."""
    reason: str = ""
    """What its reason says."""
    filtered: bool = False
    """Every third event is filtered away."""


def install_evil(folder: Path, *, mended: bool = False) -> None:
    """Install the hostile plugins, three of one distribution; mended, in their second version, they do no harm."""
    modules = {file.stem: file.read_text(encoding="utf-8") for file in sorted(SOURCES.glob("evil_*.py"))}
    if mended:
        modules = {name: source.replace("MENDED = False", "MENDED = True") for name, source in modules.items()}
    install(folder, "gateway-evil", "2.0" if mended else "1.0", modules)


def fates() -> dict[str, Fate]:
    """Every hostile route by its name."""
    found: dict[str, Fate] = {}
    codes = {"reject": "my code X-Evil: 1", "retry": "retries-exhausted"}
    hows = ("exception", "mute", "exit", "interrupt", "generator-exit", "base", "group", "reject", "retry", "retry-nan",
            "none", "text", "liar", "coroutine")  # fmt: skip
    for how in hows:
        for name in ("filter", "transform", "async", "blocking"):
            kind = "filters" if name == "filter" else "transforms"
            code = codes.get(how, f"{kind[:-1]}-error")
            found[f"{name}-{how}"] = Fate({kind: [{f"evil-{name}": {"how": how}}]}, code)
    found["transform-empty"] = Fate({"transforms": [{"evil-transform": {"how": "empty"}}]}, "transform-error")
    parts = {"key": "transform-error", "headers": "transform-error", "line-break": "unsafe-header",
             "subject": "transform-error", "body": "encode-error", "cycle": "encode-error", "mutates": ""}  # fmt: skip
    found |= {f"parts-{how}": Fate({"transforms": [{"evil-parts": {"how": how}}]}, code) for how, code in parts.items()}
    found["hangs"] = Fate({"transforms": ["hangs"]}, "retries-exhausted")
    for name in ("deaf", "stuck"):
        found[name] = Fate({"transforms": [name]}, down="step-stuck", reason=f"transform-0-{name} does not end")
    return found | _codecs() | _audits() | _lives()


def _codecs() -> dict[str, Fate]:
    codes = {"decode": "decode-error", "attributes": "decode-error", "encode-none": "encode-error",
             "encode-text": "encode-error", "encode-headers": "encode-error", "encode-list": "encode-error",
             }  # fmt: skip
    found = {}
    for how, code in codes.items():
        own = {"evil-codec": {"how": how}}
        fields: dict[str, Any] = {"codec": own}
        if how.startswith("encode"):
            # Bytes pass through a target of the route's own codec.
            fields = {"codec": {"evil-codec": {"how": "reads"}}, "targets": [{"codec": own}]}
        found[f"codec-{how}"] = Fate(fields, code)
    return found


def _audits() -> dict[str, Fate]:
    found = {"silent": Fate({"filters": ["no-thirds"], "audits": [{"evil-audit": {"how": "mutates"}}],
                             "audit-mode": "best-effort"}, filtered=True)}  # fmt: skip
    for how in ("exit", "generator-exit", "interrupt", "hangs", "deaf", "mutates"):
        fields = {"audits": [{"evil-audit": {"how": how}}]}
        found[f"audit-{how}"] = Fate(fields, down="audit-failed", reason="audit-0-evil-audit")
        found[f"effort-{how}"] = Fate({**fields, "audit-mode": "best-effort"})
    return found


def _lives() -> dict[str, Fate]:
    found = {"leaks": Fate({"filters": ["leaks"]}), "first-opens": _life("first-opens")}
    found["reads-list"] = _life("reads-list", down="plugin-failed", reason="reads gave no frozenset")
    for where in ("init", "prepare", "reads"):
        for how in ("error", "exit", "generator-exit", "base"):
            reason = "reads raised" if where == "reads" else "evil-life: "
            found[f"{where}-{how}"] = _life(f"{where} {how}", down="plugin-failed", reason=reason)
    for how in ("error", "exit", "generator-exit", "base", "interrupt", "cancelled", "async-exit", "async-cancelled"):
        asked = f"open {how.replace('-', ' ', 1) if how.startswith('async') else how}"
        found[f"open-{how}"] = _life(asked, down="open-failed", reason="evil-life: open raised")
        found[f"close-{how}"] = _life(asked.replace("open", "close"))
    found["open-hang"] = _life("open hang", down="open-failed", reason="open raised TimeoutError")
    found["open-deaf"] = _life("open deaf", down="open-failed", reason="does not end")
    found |= {f"close-{how}": _life(f"close {how}") for how in ("hang", "deaf")}
    return found


def _life(how: str, down: str = "", reason: str = "") -> Fate:
    return Fate({"filters": [{"evil-life": {"how": how}}]}, down=down, reason=reason)


def route_of(name: str, fields: dict[str, Any], stream: str = STREAM) -> dict[str, Any]:
    """A route from all of a stream to `out.<name>`, quick in everything that waits."""
    targets = [{"name": "out", "subject": f"out.{name}", **own} for own in fields.get("targets", [{}])]
    return {
        "name": name,
        "source": {"stream": stream, "subjects": [f"{stream.lower()}.>"], "ack-wait": "5s"},
        "retry": {"attempts": 2, "initial": "50ms", "max": "100ms"},
        "timeout": "300ms",
        **fields,
        "targets": targets,
    }


class Account:
    """What the streams say became of the events of every route."""

    def __init__(self, out: list[Stored], letters: list[Stored]) -> None:
        self.published: dict[str, Counter[int]] = defaultdict(Counter)
        self.letters: dict[str, dict[int, Stored]] = defaultdict(dict)
        for message in out:
            self.published[message.subject.partition(".")[2]][message.json["n"]] += 1
        for letter in letters:
            route, number = letter.headers["Gateway-Route"], letter.json["n"]
            assert number not in self.letters[route], f"two dead letters of one event: {route} {number}"
            self.letters[route][number] = letter

    def kept(self, route: str) -> set[int]:
        """The events of a route that are in some stream behind it."""
        return set(self.published[route]) | set(self.letters[route])


async def account(url: str) -> Account:
    """Read both streams."""
    return Account(await read_all(url, "OUT"), await read_all(url, "DLQ"))


async def unsettled(nc: Client, route: str, stream: str = STREAM) -> int:
    """How many events the server still has for a route."""
    state = await consumer_state(nc, stream, f"gateway-{route}")
    return int(state["num_pending"]) + int(state["num_ack_pending"])
