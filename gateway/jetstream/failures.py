"""Why a connection cannot be made, in words for whoever has to mend it, and without what is secret."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

import nats.errors

from .signin import UnusableFileError
from .wire import PlaintextError

_REFUSALS = ("authorization violation", "authentication", "account", "revoked", "credentials")
"""What is in the words of a server that does not take who we say we are."""
_ENDS = (ConnectionResetError, BrokenPipeError, nats.errors.UnexpectedEOF)


@dataclass(frozen=True, slots=True)
class Failure:
    """`code` is one of unreachable, tls, refused, file: it is what the log has as `reason`."""

    code: str
    text: str
    hint: str = ""
    vague: bool = False
    """It only says that the server ended the connection, which it does for any reason."""

    def after(self, known: Failure | None) -> Failure:
        """What is known of it: a server that refuses says so once, and then may only end the connection."""
        return known if self.vague and known is not None and known.code != "unreachable" else self


LASTING = frozenset({"refused", "tls", "file"})
"""Codes of what somebody has to mend; a server that is only away may come."""


class Failures:
    """The failure to connect to each server, by host and port, while there is no connection."""

    def __init__(self) -> None:
        self.of: dict[str, Failure] = {}
        self.on_news: list[Callable[[], None]] = []
        """Called after another one is known."""

    def note(self, error: BaseException, server: str = "") -> Failure:
        """What is known of `server` now; it is empty for what failed before any was tried, or with all of them."""
        failure = explain(error)
        if not server and failure.vague and self.of:
            # The end of a try as a whole says less than what a server said in it.
            failure = next((known for known in self.of.values() if known.code in LASTING), failure)
        else:
            failure = self.of[server] = failure.after(self.of.get(server))
        for listener in list(self.on_news):
            listener()
        return failure

    def lasting(self, servers: int) -> bool:
        """Whether waiting is no use: a file cannot be used, or so many servers and all that were tried will not do.

        Those that others of the cluster tell of are tried after those of the config.
        """
        codes = [failure.code for failure in self.of.values()]
        return "file" in codes or (len(codes) >= servers and LASTING.issuperset(codes))


def explain(error: BaseException) -> Failure:
    """What kind of failure it is, what it says, and perhaps what to do."""
    text = str(error) or type(error).__name__
    if isinstance(error, UnusableFileError):
        return Failure("file", text)
    if isinstance(error, PlaintextError):
        return Failure("tls", text, "set the server up for TLS; the gateway never goes on without it")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure("tls", f"TLS: the server's certificate is not good: {error.verify_message or text}")
    if isinstance(error, ssl.SSLError):
        return Failure("tls", f"TLS: {(error.reason or text).replace('_', ' ').lower()}", _tls_hint(error))
    if isinstance(error, TimeoutError):
        hint = "if it is there: does nats.tls.handshake-first say the same as the server's config?"
        return Failure("unreachable", "the server does not answer", hint)
    if isinstance(error, _ENDS) or "empty response" in text:
        hint = "its log says why; one that wants a certificate of ours ends it like this, too"
        return Failure("unreachable", "the server ended the connection", hint, vague=True)
    if any(word in text.lower() for word in _REFUSALS):
        return Failure("refused", f"the server does not take who we are: {text.removeprefix('nats: ')}")
    return Failure("unreachable", text)


def _tls_hint(error: ssl.SSLError) -> str:
    reason = (error.reason or "").lower()
    if "wrong_version" in reason:
        return "the server does not begin with TLS: without nats.tls.handshake-first it is asked what it can"
    if "certificate_required" in reason or "bad_certificate" in reason or "unknown_ca" in reason:
        return "the server wants a certificate of ours that it trusts: nats.tls.cert and nats.tls.key"
    return ""
