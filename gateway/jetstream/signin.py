"""How a client signs in, as nats-py takes it. A file it cannot use is named with its setting before anything is tried.

nats-py itself reads the credentials only when a server asks for them, and then says only that they were refused.
"""

from __future__ import annotations

import hashlib
import ssl
from typing import Any
from urllib.parse import ParseResult, unquote, urlsplit

from ..config import model
from ..errors import GatewayError


class UnusableFileError(GatewayError):
    """A file of the section `nats` cannot be used."""

    def __init__(self, setting: str, path: str, reason: str) -> None:
        self.setting = setting
        self.path = path
        super().__init__(f"{setting}: cannot use {path}: {reason}")


def sign_in(config: model.Nats) -> dict[str, Any]:
    """The options of a connection that say who we are and whom we trust; raises UnusableFileError."""
    options: dict[str, Any] = {}
    if config.user is not None:
        options["user"] = config.user
    if config.password is not None:
        options["password"] = config.password.reveal()
    if config.token is not None:
        options["token"] = config.token.reveal()
    if config.nkey_seed is not None:
        options["nkeys_seed_str"] = config.nkey_seed.reveal()
    if config.credentials is not None:
        _try_to_read("nats.credentials", config.credentials)
        options["user_credentials"] = config.credentials
    if config.tls is not None:
        options["tls"] = tls_context(config.tls)
        options["tls_handshake_first"] = config.tls.handshake_first
    return options


def fingerprint(config: model.Nats) -> str:
    """Digest of where we connect and how we sign in, the files' contents taken in: another one, another connection."""
    tls = config.tls
    said: list[object] = [config.servers, config.user, config.credentials]
    said += [value and value.reveal() for value in (config.password, config.token, config.nkey_seed)]
    said.append(tls and (tls.ca, tls.cert, tls.key, tls.handshake_first))
    hasher = hashlib.blake2b(repr(said).encode("utf-8", "surrogatepass"), digest_size=16)
    for path in files_of(config):
        try:
            with open(path, "rb") as file:
                hasher.update(hashlib.blake2b(file.read()).digest())
        except OSError:
            hasher.update(b"unreadable")
    return hasher.hexdigest()


def files_of(config: model.Nats) -> list[str]:
    """The files of the section `nats`."""
    tls = config.tls or model.Tls()
    return [path for path in (config.credentials, tls.ca, tls.cert, tls.key) if path is not None]


def wants_tls(config: model.Nats) -> bool:
    """Whether nothing may be said in plaintext: one tls:// among the servers speaks for all of them."""
    return config.tls is not None or any(urlsplit(url).scheme == "tls" for url in config.servers)


def identity(config: model.Nats, server: ParseResult, listed: bool) -> dict[str, str]:
    """User and password, or token, as the URL of a server has them; nothing where the config has fields for it.

    In a URL they are percent-encoded, which nats-py does not undo. One that is not `listed` was learnt from another
    server of the same cluster, which tells no more than addresses: there we are who we are to the first one.
    """
    fields = (config.user, config.token, config.nkey_seed, config.credentials)
    if any(field is not None for field in fields):
        return {}
    named = [url for url in map(urlsplit, config.servers) if url.username is not None]
    url = server if listed or not named else named[0]
    if url.username is None:
        return {}
    if url.password is None:
        return {"token": unquote(url.username)}
    return {"user": unquote(url.username), "password": unquote(url.password)}


def tls_context(tls: model.Tls) -> ssl.SSLContext:
    """Whom we trust, and our certificate, as the files are now; raises UnusableFileError."""
    for setting, path in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key)):
        if path is not None:
            _try_to_read(f"nats.tls.{setting}", path)
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except ssl.SSLError as error:
        raise UnusableFileError("nats.tls.ca", str(tls.ca), _why(error)) from error
    if tls.cert is not None:
        try:
            context.load_cert_chain(tls.cert, tls.key, _no_passphrase)
        except _EncryptedKey as error:
            raise UnusableFileError("nats.tls.key", str(tls.key), "it is encrypted, and nobody is asked for") from error
        except ssl.SSLError as error:
            raise UnusableFileError("nats.tls.cert and nats.tls.key", f"{tls.cert}, {tls.key}", _why(error)) from error
    return context


class _EncryptedKey(Exception):
    """The key wants a passphrase."""


def _no_passphrase() -> str:
    """Instead of OpenSSL, which would ask on the terminal, and the daemon would wait there."""
    raise _EncryptedKey


def _try_to_read(setting: str, path: str) -> None:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise UnusableFileError(setting, path, error.strerror or type(error).__name__) from error


def _why(error: ssl.SSLError) -> str:
    return (error.reason or "not PEM").replace("_", " ").lower()
