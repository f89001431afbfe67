"""The built-in components, registered through the same hooks as anybody's.

One component a file. A component is reached by its name through the registry, never imported by its class from
elsewhere in the gateway.
"""

from __future__ import annotations

from typing import Final

from ..hookspecs import hookimpl
from ..plugin import Audit, Codec, Filter, Transform
from .audits.file import FileAudit
from .audits.log import LogAudit
from .audits.stream import StreamAudit
from .codecs.cloudevents import CloudEvents
from .codecs.eventbridge import EventBridge
from .codecs.json import Json
from .codecs.msgpack import MsgPack
from .codecs.raw import Raw
from .filters.dedupe import Dedupe
from .filters.meta import Meta
from .filters.pattern_filter import Pattern
from .filters.sample import Sample
from .filters.subject import SubjectFilter
from .transforms.enrich import Enrich
from .transforms.map import Map
from .transforms.pick import Pick
from .transforms.redact import Redact
from .transforms.remove import Remove
from .transforms.rename import Rename
from .transforms.set import Set
from .transforms.split import Split
from .transforms.template import InputTemplate

NAME: Final = "builtin"
"""The name this plugin is registered under."""


@hookimpl
def gateway_codecs() -> list[type[Codec]]:
    """The codecs every gateway has."""
    return [Json, EventBridge, CloudEvents, MsgPack, Raw]


@hookimpl
def gateway_filters() -> list[type[Filter]]:
    """The filters every gateway has."""
    return [Pattern, Meta, SubjectFilter, Sample, Dedupe]


@hookimpl
def gateway_transforms() -> list[type[Transform]]:
    """The transforms every gateway has."""
    return [Set, Rename, Remove, Pick, Map, InputTemplate, Enrich, Redact, Split]


@hookimpl
def gateway_audits() -> list[type[Audit]]:
    """The audits every gateway has."""
    return [StreamAudit, FileAudit, LogAudit]
