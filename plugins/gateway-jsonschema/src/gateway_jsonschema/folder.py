"""The filter `json-schema`: schemas from a folder."""

from __future__ import annotations

import asyncio
import pathlib
from typing import Any, ClassVar

from gateway import ConfigProblem, Event

from .gate import Gate, GateSettings
from .library import Library


class FolderSettings(GateSettings, kw_only=True, frozen=True):
    """The settings of `json-schema`."""

    folder: str
    """Where the schemas are: `<type>.json`; absolute, or relative to where the gateway was started."""


class FolderSchemas(Gate, name="json-schema"):
    """Refuse events that break the JSON Schema of their type, with schemas from a folder.

    The schema of the type `OrderPaid` is `OrderPaid.json`, or what `types` says. The folder is read when the route
    starts. A schema that is broken keeps the route down and is named in the log with its place.
    """

    Config = FolderSettings
    config: FolderSettings
    suffix = ".json"
    example: ClassVar[Any] = {"folder": "/etc/gateway/schemas", "path": "data", "types": {"com.shop.paid": "paid"}}

    def prepare(self) -> None:
        """Check the settings; the folder is read in `open`."""
        super().prepare()
        if not self.config.folder.strip():
            raise ConfigProblem(("folder",), "the folder is empty", "write where the schemas are: /etc/gateway/schemas")

    async def open(self) -> None:
        """Read and compile every schema; raises ConfigProblem naming all that are broken."""
        self.library = await asyncio.to_thread(self._read)

    def accepts(self, event: Event) -> bool:
        """Whether the event keeps its schema; raises Reject when it does not."""
        name = self.schema_name(event)
        validator = None if name is None else self.library.validators.get(name)
        return self.unknown() if validator is None else self.check(event, validator)

    def _read(self) -> Library:
        folder = pathlib.Path(self.config.folder)
        files = {
            file.relative_to(folder).as_posix().removesuffix(self.suffix): file
            for file in sorted(folder.rglob(f"*{self.suffix}"))
        }
        if not files:
            raise ConfigProblem(("folder",), f"there is no *{self.suffix} in {folder.absolute()}")
        library = Library(formats=self.config.formats, suffix=self.suffix)
        for name, file in files.items():
            library.put(name, file.read_bytes())
        faults = [f"{files[name]}: {reason}" for name, reason in library.broken.items()]
        faults += [
            f"types: {kind}: there is no {folder / name}{self.suffix}"
            for kind, name in self.names.items()
            if name not in files
        ]
        if faults:
            for number, fault in enumerate(faults):
                # The place tells them apart: of what is the same, the log writes one line and then a number.
                self.context.log.error("%s", fault, extra={"event": "schema.broken", "place": number})
            raise ConfigProblem(("folder",), "; ".join(faults))
        return library
