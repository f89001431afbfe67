"""What the commands of `gateway dlq` share: options, and the way to the letters."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from ..components.filters.pattern import compile_pattern
from ..config import model
from ..dlq.selection import Bodies, Selection
from ..dlq.store import DeadLetters, find_streams
from ..errors import ConfigProblem, PatternError
from ..jetstream.oneshot import OneShot, connected
from ..problems import nearest
from ..registry import BASES, Registry
from ..routing.compile import compile_config
from ..routing.route import CompiledRoute
from ..runtime.stats import EVENT_CODES, REFUSAL_CODES, STEP_CODES, TARGET_CODES
from ..subjects import token_is_safe
from ..values import Duration, Rate
from .asking import notice, refuse
from .dlq_words import printable
from .options import config_option, timeout_option

Function = TypeVar("Function", bound=Callable[..., Any])
Answer = TypeVar("Answer")


SEQUENCE = click.IntRange(1, 2**64 - 1)
"""What a stream counts to."""
LIMIT = click.IntRange(0, 2**32)
"""How many letters at most; 0 is all of them."""
_CODES = (*TARGET_CODES, *REFUSAL_CODES, *STEP_CODES, *EVENT_CODES)
"""What the gateway itself calls the ends of events."""


class Asked:
    """The options that say which letters are meant, as they were given."""

    def __init__(self, given: dict[str, Any]) -> None:
        """Take them out of a command's parameters."""
        self.routes: tuple[str, ...] = given.pop("route")
        self.codes: tuple[str, ...] = given.pop("code")
        self.sequences: tuple[int, ...] = given.pop("sequence")
        self.since: int = given.pop("since")
        self.pattern: Callable[[object], bool] | None = given.pop("pattern")
        self.gateway: str | None = given.pop("gateway_name")
        self.stream: str | None = given.pop("stream")
        self._unseen_routes, self._unseen_codes = set(self.routes), set(self.codes)

    def selection(self, config: model.Config, routes: dict[str, CompiledRoute]) -> Selection:
        """The letters that are meant; `routes` decode for the pattern."""
        return Selection(
            gateway=self.gateway or config.name,
            routes=frozenset(self.routes),
            codes=frozenset(self.codes),
            sequences=frozenset(self.sequences),
            since_ns=self.since,
            pattern=self.pattern,
            body_of=Bodies(routes).of,
            unseen_routes=self._unseen_routes,
            unseen_codes=self._unseen_codes,
        )

    def strangers(self, config: model.Config, registry: Registry) -> list[str]:
        """After the letters were looked at: what was asked for and is known to nobody, most likely misspelt."""
        codes = {*_CODES, *(code for kind in BASES for _, one in registry.components(kind) for code in one.codes)}
        routes = {route.name for route in config.routes}
        if self.gateway in (None, config.name):
            lines = [
                f"the config has no route {printable(name)}, and no letter looked at is of one{_guess(name, routes)}"
                for name in sorted(self._unseen_routes - routes)
            ]
        else:
            lines = [f"no letter looked at is of the route {printable(name)}" for name in sorted(self._unseen_routes)]
        return lines + [
            f"no letter looked at has the code {printable(name)}, and no component has it{_guess(name, codes)}"
            for name in sorted(self._unseen_codes - codes)
        ]


def _guess(name: str, known: set[str]) -> str:
    near = nearest(name, sorted(known))
    return f": did you mean {near}?" if near else ""


def rate(ctx: click.Context, parameter: click.Parameter, text: str | None) -> float:
    """Letters a second; 0 for no limit."""
    try:
        return 0.0 if text is None else float(Rate.parse(text))
    except ConfigProblem as problem:
        raise click.BadParameter(f"{problem.text}; {problem.hint}", ctx, parameter) from problem


def _since(ctx: click.Context, parameter: click.Parameter, text: str | None) -> int:
    """An instant in ns: so long ago, or RFC 3339."""
    if text is None:
        return 0
    try:
        return int((time.time() - float(Duration.parse(text))) * 1e9)
    except ConfigProblem:
        pass  # perhaps an instant
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        wanted = "neither a duration such as 2h nor an instant such as 2026-01-31T12:00:00Z"
        raise click.BadParameter(f"{text!r} is {wanted}", ctx, parameter)
    return int(moment.timestamp() * 1e9)


def _stream(ctx: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """The name of a stream: it becomes a token of a request's subject."""
    if text is not None and not token_is_safe(text):
        raise click.BadParameter(f"{text!r} is no name of a stream", ctx, parameter)
    return text


def _pattern(ctx: click.Context, parameter: click.Parameter, text: str | None) -> Callable[[object], bool] | None:
    """A content filter, as JSON or in a file."""
    if text is None:
        return None
    try:
        document = json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
        if not isinstance(document, dict):
            raise click.BadParameter("a pattern is a JSON object", ctx, parameter)
        return compile_pattern(document)
    except OSError as error:
        raise click.BadParameter(f"{text[1:]}: {error.strerror or error}", ctx, parameter) from error
    except PatternError as error:
        raise click.BadParameter(str(error), ctx, parameter) from error
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON: {error}", ctx, parameter) from error


_selecting = (
    click.option("--route", multiple=True, metavar="NAME", help="Letters of this route; may be given several times."),
    click.option("--code", multiple=True, metavar="CODE", help="Letters with this error code; likewise."),
    click.option("--sequence", multiple=True, type=SEQUENCE, metavar="SEQ", help="The letter with this sequence."),
    click.option("--since", callback=_since, metavar="TIME", help="Letters stored since then: 2h, or RFC 3339."),
    click.option(
        "--pattern",
        callback=_pattern,
        metavar="JSON|@FILE",
        help="Letters whose original body matches this content filter, as the filter `pattern` would.",
    ),
    click.option("--gateway", "gateway_name", metavar="NAME", help="Letters of this gateway, not the config's own."),
)
stream_option = click.option(
    "--stream", callback=_stream, metavar="NAME", help="The dead-letter stream, instead of looking for it."
)


def reaching(function: Function) -> Function:
    """Give a command the options to find the stream."""
    for option in (timeout_option, stream_option, config_option):
        function = option(function)
    return function


def selecting(function: Function) -> Function:
    """Give a command the options that say which letters are meant, and those to find the stream."""
    function = reaching(function)
    for option in reversed(_selecting):
        function = option(function)
    return function


def compiled(config: model.Config, registry: Registry) -> dict[str, CompiledRoute]:
    """The enabled routes, not opened; problems end the command."""
    routes, problems = compile_config(config, registry)
    if problems:
        refuse(problems)
    return {route.name: route for route in routes}


async def looking(
    config: model.Config,
    stream: str | None,
    routes: tuple[str, ...],
    patience: float,
    work: Callable[[list[DeadLetters], OneShot], Awaitable[Answer]],
) -> Answer:
    """Connect, find the streams, and do the work; raises ServerUnreachable, ConnectionGone, Retry."""
    async with connected(config.nats, "dlq", patience) as link:
        return await work(await find_streams(link.api, link.reader, config, patience, stream, routes, notice), link)
