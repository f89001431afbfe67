"""The types of single fields: a plain type with its limits, its hint, and what to write when it is missing."""

from __future__ import annotations

import base64
import re
from binascii import crc_hqx
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta

from ..errors import ConfigProblem
from ..headers import name_is_safe
from ..problems import Code
from ..subjects import token_is_safe
from ..templates import ROUTE_NAMES, Template, check_subject
from ..values import Duration, Secret, Size, Subject

SERVERS_OWN = ("$JS", "$SYS")
"""First tokens that are answered by the server; others with a $ belong to streams, such as key-value buckets."""
SCHEMES = ("nats", "tls", "ws", "wss")
RESERVED_HEADERS = ("nats-", "gateway-")

_LISTEN = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\s/\[\]]*):(\d{1,5})")
_LISTEN_HINT = 'for example "127.0.0.1:9464", or ":9464" for every address'
_SEED_BYTES = 36
"""Two of prefix, 32 of seed, two of checksum. Source: the nkeys README."""
_STREAM_NAME = r"^[^\s.*>/\\\x00-\x1f\x7f]{1,255}$"


def check_target_subject(template: Template) -> None:
    """The literal parts of a target's subject; raises ConfigProblem."""
    check_subject(template)
    first = template.parts[0]
    if isinstance(first, str) and first.split(".")[0] in SERVERS_OWN:
        raise ConfigProblem((), f"{template.text!r} is one of the server's own subjects", "publish to your own")


def check_fixed_subject(template: Template) -> None:
    """A dead-letter subject; raises ConfigProblem."""
    check_subject(template, ROUTE_NAMES)


def check_server(url: str) -> None:
    """The URL of a server; raises ConfigProblem, which never shows it: it may hold a password."""
    hint = f"write {', '.join(f'{scheme}://' for scheme in SCHEMES)} and HOST:PORT: nats://127.0.0.1:4222"
    try:
        parts = urlsplit(url)
        good = parts.scheme in SCHEMES and parts.hostname and (parts.port is None or parts.port > 0)
        # A slash, question mark or hash in a password would end the host here, and hide from the masks that follow.
        good = (
            good
            and (parts.scheme in ("ws", "wss") or parts.path in ("", "/"))
            and not parts.query
            and not parts.fragment
        )
    except ValueError:
        good = False
    if not good or re.search(r"\s", url):
        raise ConfigProblem((), "not the URL of a NATS server", hint)


def check_listen(text: str) -> None:
    """Host and port to listen on; raises ConfigProblem."""
    found = _LISTEN.fullmatch(text)
    if found is None or int(found[2]) > 65_535:
        raise ConfigProblem((), f"{text!r} is not HOST:PORT", _LISTEN_HINT)


def check_header_name(name: str) -> None:
    """The name of a header a target sets or removes; raises ConfigProblem."""
    if not name_is_safe(name):
        raise ConfigProblem((), "not a header name", "printable ASCII without spaces and colons")
    if name.lower().startswith(RESERVED_HEADERS):
        raise ConfigProblem((), "headers that begin with Nats- or Gateway- are not for configs to set", "rename it")


def check_header_value(template: Template) -> None:
    """The literal parts of a header's value; raises ConfigProblem."""
    if any(isinstance(part, str) and re.search(r"[\r\n\x00]", part) for part in template.parts):
        raise ConfigProblem((), "a header value holds no line ends", "write it on one line")


def check_time(text: str) -> None:
    """An RFC 3339 time with its zone; raises ConfigProblem."""
    try:
        good = re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d", text) and datetime.fromisoformat(text.upper()).tzinfo
    except ValueError:
        good = None
    if not good:
        raise ConfigProblem((), f"{text!r} is no RFC 3339 time", "with date, time and zone: 2026-01-31T12:00:00Z")


def check_domain(text: str) -> None:
    """A JetStream domain, which becomes a token of the subjects of requests; raises ConfigProblem."""
    if not token_is_safe(text):
        raise ConfigProblem(
            (), f"{text!r} is no domain", "one word without dots, spaces, * or >; for none leave it out"
        )


def check_seed(seed: Secret) -> None:
    """The seed of a user's nkey; raises ConfigProblem, which never shows it."""
    text = seed.reveal()
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
        sum_is_right = crc_hqx(raw[:-2], 0) == int.from_bytes(raw[-2:], "little")
        good = text.startswith("SU") and len(raw) == _SEED_BYTES and sum_is_right
    except ValueError:
        good = False
    if not good:
        hint = "it begins with SU and has 58 characters, as nk -gen user writes it; a file has it as ${file:PATH}"
        raise ConfigProblem((), "not the seed of a user's nkey", hint)


def check_api_token(token: Secret) -> None:
    """What an Authorization header can carry, and not nothing; raises ConfigProblem, which never shows it."""
    text = token.reveal()
    if not text or text != text.strip() or not text.isprintable():
        hint = "leave token out to serve this host only; a file or credential loses one newline at its end"
        raise ConfigProblem(
            (),
            "not a token that can be shown: it is empty, or begins or ends with a space, or has control characters",
            hint,
        )


def check_inbox(prefix: str) -> None:
    """The prefix of our reply subjects; raises ConfigProblem."""
    check_subject(Template(prefix.replace("{", "{{").replace("}", "}}")))


def _text(pattern: str, hint: str, **extra: Any) -> Meta:
    return Meta(pattern=pattern, extra={"hint": hint, **extra})


def _check(check: Callable[[Any], None], code: Code = Code.INVALID_VALUE, **extra: Any) -> Meta:
    return Meta(extra={"check": check, "code": code, **extra})


GatewayName = Annotated[str, _text("^[a-z0-9-]{1,32}$", "1 to 32 of a-z, 0-9 and -")]
RouteName = Annotated[
    str, _text("^[a-z0-9-]{1,48}$", "1 to 48 of a-z, 0-9 and -", missing="for example name: orders-to-billing")
]
Durable = Annotated[str, _text("^[A-Za-z0-9_-]+$", "letters, digits, _ and -"), Meta(max_length=255)]
NkeySeed = Annotated[Secret, _check(check_seed, hint="the seed of a user's nkey: SU and 56 more characters")]
ApiToken = Annotated[Secret, _check(check_api_token)]
_STREAM_HINT = "a stream's name has no spaces, dots, * or >"
StreamName = Annotated[str, _text(_STREAM_NAME, _STREAM_HINT, missing="name the stream: stream: ORDERS")]
DeclaredName = Annotated[str, _text(_STREAM_NAME, _STREAM_HINT, missing="name the stream: name: ORDERS")]
SourceSubjects = Annotated[
    list[Subject],
    Meta(min_length=1, extra={"missing": "say which: subjects: [orders.>]", "hint": "say which: [orders.>]"}),
]
TargetSubject = Annotated[
    Template,
    _check(check_target_subject, Code.INVALID_SUBJECT, missing="say where to: subject: billing.orders"),
]
FixedSubject = Annotated[Template, _check(check_fixed_subject, Code.INVALID_SUBJECT)]
HeaderName = Annotated[str, _check(check_header_name)]
HeaderValue = Annotated[Template, _check(check_header_value)]
ServerUrl = Annotated[str, _check(check_server)]
Listen = Annotated[str, _check(check_listen, instead=_LISTEN_HINT)]
Time = Annotated[str, _check(check_time)]
InboxPrefix = Annotated[str, _check(check_inbox, Code.INVALID_SUBJECT)]
Domain = Annotated[str, _check(check_domain)]
Positive = Annotated[int, Meta(ge=1, le=2**63 - 1)]
SomeTime = Annotated[Duration, Meta(gt=0)]
"""A duration above zero."""
SomeSize = Annotated[Size, Meta(ge=1)]
