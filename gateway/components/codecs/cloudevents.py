"""The codec `cloudevents`."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from ...errors import DecodeError, EncodeError
from ...event import Attributes, Encoded, Reader
from ...headers import Headers
from ...missing import MISSING
from ...paths import Path
from ...plugin import Codec, Settings
from ._attributes import AttributePaths, attribute_keys, attribute_reader
from ._ce_attributes import DATA, check_read, writable
from ._ce_data import WIRE, check_base64, member_of, payload_of, put_payload
from ._ce_headers import CONTENT_TYPE, PREFIX, STRUCTURED_TYPE, attributes_in, check_format, form_of, headers_for
from ._json_writer import checked_json

_DATA = frozenset({DATA})


class CloudEvents(Codec, name="cloudevents"):
    """CloudEvents 1.0 over NATS, in binary and structured mode.

    In both modes the body is the event's JSON envelope: `specversion`, `id`, `source`, `type`, the optional attributes
    and extensions, and `data` or, for what is neither JSON nor text, `data_base64`. A binary event's envelope is put
    together from its `ce-` headers and its payload: data whose `datacontenttype` says JSON must be JSON; `text/...` and
    XML are a text; without a `datacontenttype`, what reads as JSON is JSON; all else is `data_base64`. An empty payload
    is no data. Extensions of a binary event are texts, as its headers are.

    An event is structured when `Content-Type` says `application/cloudevents`, in JSON and not in a batch; else binary
    when it has a `ce-specversion`; else structured, as older senders do it. A plain `Content-Type` stands in for a
    missing `ce-datacontenttype`, and values that are not percent-encoded are taken as they are. Without a proper
    `specversion`, `id`, `source` or `type`, with a `%` that begins no percent-encoding, or with a name that is not
    lower-case letters and digits it is a decode error.

    An event is written in the `mode` it came in, or in the one that is set. What a transform made, or another codec
    read, must be an envelope (`specversion` may be missing), else it is an `encode-error`: null attributes are left
    out, `time` must be RFC 3339, numbers have 32 bits, and data that is no text needs a `datacontenttype` of JSON or
    none. Of the sender's headers those of CloudEvents and `Content-Type` do not pass on then. What nothing changed
    passes as it came, and so does the data where only attributes were changed and nobody read it. `strict: true`
    decodes the data of every event.
    """

    class Config(Settings, frozen=True):
        """How it is written, and where a correlation id is."""

        mode: Literal["same", "binary", "structured"] = "same"
        correlation_id: Path | None = Path("correlationid")
        """An extension, a path into the data, or a header."""
        strict: bool = False
        """Decode the data of every event, not only where a step reads it."""

    config: Config
    example: ClassVar[Any] = {"mode": "structured"}
    owns: ClassVar[tuple[str, ...]] = (PREFIX, CONTENT_TYPE.lower())

    def prepare(self) -> None:
        """Compile the path of the correlation id; raises ConfigProblem."""
        paths = AttributePaths(correlation_id=self.config.correlation_id)
        self._attributes = attribute_reader(paths)
        self._keys = attribute_keys(paths)

    def decode(self, data: bytes, headers: Headers, subject: str) -> dict[str, Any]:
        """The envelope, all of it decoded; raises DecodeError."""
        envelope = self._open(data, headers, subject)
        if type(envelope.get(DATA)) is msgspec.Raw:
            envelope[DATA] = WIRE.leaf(envelope[DATA])
        return envelope

    def encode(self, body: Any, headers: Headers) -> Encoded:
        """The envelope in the mode set, or in the one the headers say; raises EventError for what is no CloudEvent."""
        try:
            return self._written(body, headers)
        except EncodeError as error:
            raise EncodeError(f"cloudevents: {error.message}") from None
        except (ValueError, TypeError) as error:
            # What a body holds that JSON cannot say; the words name types only.
            raise EncodeError(f"cloudevents: {error}") from None

    def _written(self, body: Any, headers: Headers) -> Encoded:
        attributes = writable(body)
        came = form_of(headers)
        mode = came if self.config.mode == "same" else self.config.mode
        if mode != "binary":
            data = checked_json({**attributes, **member_of(body, attributes)})
            return Encoded(data, {CONTENT_TYPE: STRUCTURED_TYPE})
        payload = payload_of(body, attributes)
        if came != "binary" and DATA in body and type(body[DATA]) is not bytes:
            # In JSON no datacontenttype means JSON; in a header it means nothing.
            attributes.setdefault("datacontenttype", "application/json")
        return Encoded(payload, headers_for(attributes))

    def rewrites(self, headers: Headers) -> bool:
        """Whether it came in another mode than the one set."""
        return self.config.mode not in ("same", form_of(headers))

    def attributes(self, body: Any, headers: Headers) -> Attributes:
        """Id, type, source and time of the envelope, and the correlation id."""
        return self._attributes(body, headers)

    def reader(self, keys: frozenset[str] | None) -> Reader:
        """Decode the attributes, and the data when somebody reads it; at once when strict."""
        if self.config.strict:
            return Reader(self.decode, self.attributes)
        read = _DATA if keys is None else _DATA & (keys | self._keys)
        return Reader(self._open, self.attributes, keys=read, leaf=WIRE.leaf)

    def _open(self, data: bytes, headers: Headers, subject: str) -> dict[str, Any]:
        """The envelope, JSON data still raw."""
        form = form_of(headers)
        if form == "binary":
            envelope = attributes_in(headers)
            check_read(envelope)
            put_payload(envelope, data)
            return envelope
        if form == "structured":
            check_format(headers)
        split = WIRE.split(data) if form == "structured" else self._bare(data)
        if split is MISSING:
            raise DecodeError("cloudevents: the payload is no object")
        envelope = {name: value if name == DATA else WIRE.leaf(value) for name, value in split.items()}
        # JSON says null for an attribute that is not there; for data it is a value.
        envelope = {name: value for name, value in envelope.items() if value is not None}
        check_read(envelope)
        check_base64(envelope)
        return envelope

    @staticmethod
    def _bare(data: bytes) -> Any:
        """The members of an event without a word of what it is; raises DecodeError unless it looks like an envelope."""
        try:
            split = WIRE.split(data)
        except DecodeError:
            split = MISSING
        if split is MISSING or "specversion" not in split:
            raise DecodeError(
                "cloudevents: no header ce-specversion, and the payload is no envelope with a specversion"
            )
        return split
