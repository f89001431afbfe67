"""Refuse events that break the JSON Schema of their type, with schemas from a folder or a key-value bucket.

The manual is the README of this distribution.
"""

from __future__ import annotations

from gateway import Filter, hookimpl

from .bucket import BucketSchemas
from .folder import FolderSchemas

__all__ = ["BucketSchemas", "FolderSchemas", "gateway_filters"]


@hookimpl
def gateway_filters() -> list[type[Filter]]:
    """The filters `json-schema` and `json-schema-kv`."""
    return [FolderSchemas, BucketSchemas]
