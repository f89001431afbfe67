"""The public API for plugin authors: everything a component needs, and nothing else."""

from .errors import ConfigProblem, Reject, Retry
from .event import Attributes, AuditRecord, Drop, Encoded, Event, Outcome, PubAck
from .hookspecs import hookimpl
from .lent import Context
from .missing import MISSING
from .paths import Path
from .plugin import Audit, Codec, Filter, Settings, Transform
from .templates import Template
from .values import Duration, Rate, Secret, Size, Subject

__all__ = [
    "MISSING",
    "Attributes",
    "Audit",
    "AuditRecord",
    "Codec",
    "ConfigProblem",
    "Context",
    "Drop",
    "Duration",
    "Encoded",
    "Event",
    "Filter",
    "Outcome",
    "Path",
    "PubAck",
    "Rate",
    "Reject",
    "Retry",
    "Secret",
    "Settings",
    "Size",
    "Subject",
    "Template",
    "Transform",
    "hookimpl",
]
