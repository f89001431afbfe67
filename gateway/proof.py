"""Proves audit chains whole: reads a stream or a file once, from end to end, in bounded memory."""

from __future__ import annotations

from typing import Any

import msgspec

from .audit_files import AuditFiles
from .chain.report import Code, Place, Report
from .chain.verify import Verifier
from .errors import Retry
from .jetstream.api import STREAM_NOT_FOUND, ApiDenied, ApiError, ApiUnavailable
from .jetstream.oneshot import OneShot


class Proof(msgspec.Struct, frozen=True):
    """What was verified, and what was found."""

    what: str
    """In one line: the stream or file, and how far it goes."""
    cut: str
    """What retention has removed, in one line; empty when nothing."""
    report: Report

    @property
    def good(self) -> bool:
        """Whether there is something, and nothing is wrong with it: of no records at all nothing is proven."""
        return self.report.good and self.report.records > 0


class StreamCut(msgspec.Struct, frozen=True):
    """What a stream says of messages it had and has no more."""

    first: int
    last: int
    holes: int
    """Messages deleted between the first and the last."""
    first_hole: int
    """Sequence of the first of them; 0 for none."""
    by_subject: bool
    """Whether retention itself makes holes: a limit per subject, or messages with a time to live."""

    @property
    def gone(self) -> str:
        """In words, how many holes there are."""
        return "1 message is gone from between" if self.holes == 1 else f"{self.holes:,} messages are gone from between"

    def explains(self, place: Place) -> bool:
        """Retention cuts a stream from its first message on: what stood before `place` is cut, unless from a hole."""
        if self.first_hole and self.first_hole < place.number:
            return self.by_subject
        return self.first > 1


async def prove_stream(link: OneShot, stream: str, subject: str | None = None) -> Proof:
    """Verify what `stream` holds, or what it holds under `subject`; raises Retry when it cannot be read."""
    cut = await _cut(link, stream)
    verifier = Verifier(cut)
    if cut.last >= max(cut.first, 1):  # an empty stream goes from 0 to 0, a purged one from 5 to 4
        async for message in link.reader.read(stream, cut.first, cut.last, subject):
            verifier.see(Place(message.stream, message.sequence), message.data)
    what = f"stream {stream}" + (f" under {subject}" if subject else "") + f", sequences {cut.first} to {cut.last}"
    words = [f"retention or a purge has removed what was before sequence {cut.first}"] if cut.first > 1 else []
    if cut.holes:
        why = "its limit per subject may have" if cut.by_subject else "deleted one by one, or purged by subject"
        words.append(f"{cut.gone}, the first at {cut.first_hole}: {why}")
    report = verifier.finish()
    if cut.holes and not cut.by_subject and subject is None and not report.counts[Code.MISSING]:
        # Whole chains that nothing is tied to, or the end of one that is open.
        text = f"{cut.gone}, which no chain that is here misses"
        report.find(Code.MISSING, Place(stream, cut.first_hole), text)
    return Proof(what, "; ".join(words), report)


async def _cut(link: OneShot, stream: str) -> StreamCut:
    try:
        info = await link.api.request(f"STREAM.INFO.{stream}", {"deleted_details": True})
    except ApiError as error:
        code = "no-stream" if error.err_code == STREAM_NOT_FOUND else "unreadable"
        raise Retry(f"stream {stream}: {error}", code=code) from error
    except ApiUnavailable as error:
        denied = isinstance(error, ApiDenied)
        raise Retry(str(error), code="no-permission" if denied else "disconnected") from error
    state: dict[str, Any] = info["state"]
    if not state["last_seq"]:
        state.pop("num_deleted", None)  # a stream that never held anything says that message 0 was deleted
        state.pop("deleted", None)
    config: dict[str, Any] = info["config"]
    return StreamCut(
        first=int(state["first_seq"]),
        last=int(state["last_seq"]),
        holes=int(state.get("num_deleted", 0)),
        first_hole=min(state.get("deleted") or [0]),
        by_subject=int(config.get("max_msgs_per_subject", -1)) > 0 or bool(config.get("allow_msg_ttl")),
    )


def prove_file(path: str) -> Proof:
    """Verify a file with its older parts; raises OSError when it cannot be read."""
    files = AuditFiles(path)
    verifier = Verifier(files, one_writer=True)
    for place, line in files.lines():
        verifier.see(place, line)
    report = verifier.finish()
    if files.unfinished is not None:
        place, size = files.unfinished
        report.note(f"{place}: a line of {size} bytes without its end: a crash left it, or it is being written")
    count = len(files.parts)
    what = f"file {files.path}" + (f" with {count} older part{'s' if count > 1 else ''}" if count else "")
    cut = f"rotation has deleted {files.cut} older part{'s' if files.cut > 1 else ''}" if files.cut else ""
    return Proof(what, cut, report)
