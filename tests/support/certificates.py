"""X.509 certificates with Ed25519 keys, put together by hand: the suite needs neither openssl nor a library for it.

Just what TLS between nats-server (Go) and Python (OpenSSL) asks for. Sources: RFC 5280 (certificates), RFC 8410
(Ed25519 in them), RFC 5958 (private keys).
"""

from __future__ import annotations

import base64
import ipaddress
import itertools
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nacl.signing import SigningKey

_ED25519 = bytes.fromhex("06032b6570")
_COMMON_NAME = bytes.fromhex("0603550403")
_BASIC_CONSTRAINTS = bytes.fromhex("0603551d13")
_KEY_USAGE = bytes.fromhex("0603551d0f")
_ALTERNATIVE_NAMES = bytes.fromhex("0603551d11")
_SUBJECT_KEY = bytes.fromhex("0603551d0e")
_AUTHORITY_KEY = bytes.fromhex("0603551d23")
_TRUE = b"\x01\x01\xff"
_serials = itertools.count(1)

ENCRYPTED_KEY = """-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiGH1pGOiuyRwICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEGksKQX9VPT01BskzKprtY0EQMeQ
eelzxCeUcxa1PCoY1N+viX3qxXs08kSCuMAVz8V5dLDk3n2BXZa4OYLgNjsZ8jhl
we+jyQ2X+DkEjM4AzDM=
-----END ENCRYPTED PRIVATE KEY-----
"""
"""A key nobody here knows the passphrase of, as `openssl genpkey -algorithm ed25519 -aes256` writes it."""


@dataclass(frozen=True)
class Signed:
    """A certificate and its key in files; `authority` is the file of who signed it."""

    cert: Path
    key: Path
    authority: Path


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder: Path, name: str = "test-ca") -> None:
        """Make its key and certificate in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = name
        self._key = SigningKey(os.urandom(32))
        self.file = folder / f"{name}.pem"
        _write(self.file, "CERTIFICATE", self._certificate(name, self._key, (), days=3650, authority=True))

    def sign(self, name: str, *names: str, days: float = 30.0, file: str = "") -> Signed:
        """A certificate for `names`: hosts, addresses, or mail addresses. With negative `days` it is over already."""
        key = SigningKey(os.urandom(32))
        cert = self._folder / f"{file or name}.pem"
        key_file = self._folder / f"{file or name}.key"
        _write(cert, "CERTIFICATE", self._certificate(name, key, names, days=days))
        _write(key_file, "PRIVATE KEY", _sequence(b"\x02\x01\x00", _sequence(_ED25519), _der(4, _der(4, bytes(key)))))
        return Signed(cert, key_file, self.file)

    def _certificate(
        self, name: str, key: SigningKey, names: tuple[str, ...], *, days: float, authority: bool = False
    ) -> bytes:
        public = bytes(key.verify_key)
        now = datetime.now(UTC)
        begins, ends = sorted((now - timedelta(days=60), now + timedelta(days=days)))
        extensions = [
            _sequence(_BASIC_CONSTRAINTS, _TRUE, _der(4, _sequence(_TRUE if authority else b""))),
            # An authority signs certificates (bit 5), everybody else signs handshakes (bit 0).
            _sequence(_KEY_USAGE, _TRUE, _der(4, _der(3, b"\x02\x04" if authority else b"\x07\x80"))),
            _sequence(_SUBJECT_KEY, _der(4, _der(4, public[:20]))),
            _sequence(_AUTHORITY_KEY, _der(4, _sequence(_der(0x80, bytes(self._key.verify_key)[:20])))),
        ]
        if names:
            extensions.append(_sequence(_ALTERNATIVE_NAMES, _der(4, _sequence(*map(_alternative, names)))))
        body = _sequence(
            _der(0xA0, b"\x02\x01\x02"),
            _der(2, (1 << 62 | next(_serials)).to_bytes(8, "big")),
            _sequence(_ED25519),
            _name(self._name),
            _sequence(_time(begins), _time(ends)),
            _name(name),
            _sequence(_sequence(_ED25519), _der(3, b"\x00" + public)),
            _der(0xA3, _sequence(*extensions)),
        )
        return _sequence(body, _sequence(_ED25519), _der(3, b"\x00" + self._key.sign(body).signature))


def _alternative(name: str) -> bytes:
    try:
        return _der(0x87, ipaddress.ip_address(name).packed)
    except ValueError:
        return _der(0x81 if "@" in name else 0x82, name.encode())


def _name(text: str) -> bytes:
    return _sequence(_der(0x31, _sequence(_COMMON_NAME, _der(0x0C, text.encode()))))


def _time(at: datetime) -> bytes:
    return (
        _der(0x18, at.strftime("%Y%m%d%H%M%SZ").encode())
        if at.year >= 2050
        else _der(0x17, at.strftime("%y%m%d%H%M%SZ").encode())
    )


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _write(file: Path, label: str, der: bytes) -> None:
    text = base64.encodebytes(der).decode()
    file.write_text(f"-----BEGIN {label}-----\n{text}-----END {label}-----\n")
