"""NATS's operator mode in a test: operator, accounts and users as JWTs, and the .creds files that users sign in with.

Source: the NATS documentation, "JWT Authentication". A JWT is signed by the nkey of whoever is above.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]


class Key:
    """An nkey of one kind."""

    def __init__(self, prefix: int) -> None:
        """A new one; `prefix` is one of `nkeys.PREFIX_BYTE_*`."""
        self.seed: str = nkeys.encode_seed(os.urandom(32), prefix).decode()
        self._pair = nkeys.from_seed(self.seed.encode())
        self.public: str = self._pair.public_key.decode()

    def sign(self, subject: str, name: str, claims: dict[str, Any], expires: float | None = None) -> str:
        """A JWT about `subject`; `expires` is a Unix time."""
        body: dict[str, Any] = {
            "iss": self.public,
            "sub": subject,
            "name": name,
            "iat": int(time.time()),
            "nats": {"version": 2, **claims},
        }
        if expires is not None:
            body["exp"] = int(expires)
        body["jti"] = base64.b32encode(hashlib.sha256(_json(body)).digest()).decode().rstrip("=")
        signed = f"{_text(_json({'typ': 'JWT', 'alg': 'ed25519-nkey'}))}.{_text(_json(body))}"
        return f"{signed}.{_text(self._pair.sign(signed.encode()))}"


class Operator:
    """An operator with a system account and one account `APP`, whose users it makes."""

    def __init__(self) -> None:
        self._key = Key(nkeys.PREFIX_BYTE_OPERATOR)
        self._system = Key(nkeys.PREFIX_BYTE_ACCOUNT)
        self._account = Key(nkeys.PREFIX_BYTE_ACCOUNT)
        claims = {"type": "operator", "system_account": self._system.public}
        # Made once: a server that runs takes no other operator.
        self._own = self._key.sign(self._key.public, "OP", claims)
        self._own_system = self._key.sign(self._system.public, "SYS", {"type": "account", "limits": _NO_LIMITS})
        self.revoked: dict[str, int] = {}
        """Public keys of users and the time up to which what was made for them is void."""

    def server_config(self) -> str:
        """The part of a server's config that trusts this operator, with the accounts in it."""
        limits = {**_NO_LIMITS, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
        claims = {"type": "account", "limits": limits, **({"revocations": self.revoked} if self.revoked else {})}
        account = self._key.sign(self._account.public, "APP", claims)
        return f"""
        operator: {self._own}
        system_account: {self._system.public}
        resolver: MEMORY
        resolver_preload: {{ {self._system.public}: {self._own_system}, {self._account.public}: {account} }}
        """

    def user(self, file: Path, expires: float | None = None, **permissions: Any) -> str:
        """Write the .creds of a new user of APP; returns its public key."""
        user = Key(nkeys.PREFIX_BYTE_USER)
        claims = {"type": "user", "subs": -1, "data": -1, "payload": -1, **permissions}
        jwt = self._account.sign(user.public, file.stem, claims, expires)
        parts = (("NATS USER JWT", jwt), ("USER NKEY SEED", user.seed))
        file.write_text("\n".join(f"-----BEGIN {what}-----\n{text}\n------END {what}------\n" for what, text in parts))
        return user.public


_NO_LIMITS = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1) | {"wildcards": True}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
