"""Who may ask the admin API. A browser on the operator's machine must not be made a way in, nor the open network.

Three rules. The `Host` header must name an address, `localhost` or the host that is listened on, so that a web page
whose name was pointed at loopback (DNS rebinding) gets nothing. An `Origin` must be the one that answers. And without a
token only loopback is served.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping

from ..values import Secret

REBOUND = "the Host header names somebody else; ask by address or as localhost"
FOREIGN = "the Origin header names another site"
NO_TOKEN = "a token is needed: Authorization: Bearer TOKEN"
OPEN = "the port is open to others than this host, so the API needs a token: http: {token: ...}"


class Guard:
    """The rules for one port."""

    def __init__(self, host: str | None, token: Secret | None) -> None:
        """`host` is what is listened on; None: every interface."""
        self._host = None if host is None else host.lower()
        self._token = None if token is None else token.reveal().encode()
        self._loopback = host is not None and _is_loopback(host)

    def refusal(self, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and text when the request is refused, else None."""
        host = headers.get("Host", "")
        if not self._names_us(host):
            return 403, REBOUND
        origin = headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != host:
            return 403, FOREIGN
        if self._token is None:
            return None if self._loopback else (403, OPEN)
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        # Bytes that are no UTF-8 come as surrogates, and are nobody's token.
        shown = given.strip().encode(errors="surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown, self._token):
            return 401, NO_TOKEN
        return None

    def _names_us(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        name = name.strip("[]").lower()
        return name in ("localhost", self._host) or _address(name) is not None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
