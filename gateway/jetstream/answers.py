"""What a reply to a publish means. Only `{"stream": S, "seq": N > 0}` is a PubAck: anybody can answer on a subject."""

from __future__ import annotations

import msgspec

from ..event import PubAck
from ..headers import Headers
from ..ports import Answer, AnswerKind

NOBODY = Answer(AnswerKind.NO_RESPONDERS, code="no-responders", text="nobody answers")
NOISE = Answer(AnswerKind.IGNORED)

TOO_LARGE = frozenset({10054, 10097})
"""Message or header block larger than the stream takes."""
FILE_LIMIT = "message too large"
"""What a file stream says of more than 32 MiB, under the number of one that is full."""
WRONG_STREAM = 10060
STREAM_FULL = 10077
"""Also what a full disk says: storing failed."""
PER_SUBJECT = "per subject"
"""How the text of STREAM_FULL ends when it is the subject that is full; there is no number for that."""
NO_RESOURCES = frozenset({10002, 10023, 10028, 10047})
"""The account's or the server's storage is used up; the account's comes as a 400, though it is no fault of the message.
"""

IN_PROCESS = 10158
"""The same message id is being stored: what was sent before has no majority of the replicas yet. Comes as a 409, and is
over as soon as they agree; then sending again is answered as a duplicate.
"""


class _Error(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Reply(msgspec.Struct):
    error: _Error | None = None


_decode_ack = msgspec.json.Decoder(PubAck).decode
_decode = msgspec.json.Decoder(_Reply).decode


def read(header_block: bytes, data: bytes) -> Answer:
    """Read one reply."""
    if not data:
        return _status(header_block)
    ack = None
    try:
        ack = _decode_ack(data)
        if ack.seq > 0 and ack.stream and b'"error"' not in data:
            return Answer(AnswerKind.STORED, ack)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # no PubAck; the slower look below tells an error from noise
    try:
        reply = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return NOISE
    if reply.error is not None:
        return _error(reply.error)
    # A stream may be called "error", or a domain.
    return Answer(AnswerKind.STORED, ack) if ack is not None and ack.seq > 0 and ack.stream else NOISE


def _status(header_block: bytes) -> Answer:
    """An empty reply says what it has to say in the status line: `NATS/1.0 503`."""
    words = header_block.split(b"\r\n", 1)[0].split(None, 2)
    if len(words) < 2:
        return NOISE
    if words[1] == b"503":
        return NOBODY
    if words[1] == b"429":
        return Answer(AnswerKind.BUSY, code="throttled", text="the stream has too much to do")
    text = words[2].decode("utf-8", "replace") if len(words) > 2 else words[1].decode("ascii", "replace")
    return Answer(AnswerKind.BUSY, code="unavailable", text=text)


def _error(error: _Error) -> Answer:
    """An error of the stream: a code below 500 is for good, unless it is about the stream and not the message."""
    text = f"{error.description} ({error.err_code})"
    if error.err_code in TOO_LARGE or error.description == FILE_LIMIT:
        return Answer(AnswerKind.REFUSED, code="too-large", text=text)
    if error.err_code == WRONG_STREAM:
        return Answer(AnswerKind.REFUSED, code="wrong-stream", text=text)
    if error.err_code == STREAM_FULL:
        return Answer(AnswerKind.BUSY, code="subject-full" if PER_SUBJECT in text else "stream-full", text=text)
    if error.err_code in NO_RESOURCES:
        return Answer(AnswerKind.BUSY, code="no-resources", text=text)
    if error.err_code == IN_PROCESS:
        return Answer(AnswerKind.BUSY, code="unavailable", text=text)
    if error.code == 429:
        return Answer(AnswerKind.BUSY, code="throttled", text=text)
    if 400 <= error.code < 500:
        return Answer(AnswerKind.REFUSED, code="refused", text=text)
    return Answer(AnswerKind.BUSY, code="unavailable", text=text)


def status_of(header_block: bytes) -> tuple[int, str, Headers]:
    """Code, text and headers of a status message on a pull inbox; code 0 when it is none."""
    line, _, _ = header_block.partition(b"\r\n")
    words = line.split(None, 2)
    if len(words) < 2 or not words[1].isdigit():
        return 0, "", Headers()
    text = words[2].decode("utf-8", "replace") if len(words) > 2 else ""
    return int(words[1]), text, Headers.parse(header_block)
