"""Who may ask the admin API. A browser on the operator's machine must not be made a way in, nor the open network.

Three rules. The `Host` header must name an address, `localhost` or the host that is listened on, so that a web page
whose name was pointed at loopback (DNS rebinding) gets nothing. A request that a browser makes for a page must be for
one that comes from here (`Origin`, `Sec-Fetch-Site`). And without a token only this host is served: not what came in
through a port that is open to others, nor what a proxy passes on for others.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import Protocol
from urllib.parse import urlsplit

from ..values import Secret

REBOUND = "the Host header names somebody else; ask by address or as localhost"
FOREIGN = "the request is made for a page of another site"
NO_TOKEN = "a token is needed: Authorization: Bearer TOKEN"
OPEN = "the port is open to others than this host, so the API needs a token: http: {token: ...}"
PROXIED = "the request comes through a proxy, perhaps from elsewhere, so the API needs a token: http: {token: ...}"

_OF_PROXIES = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
_OUR_PAGES = ("none", "same-origin")
"""What browsers say in `Sec-Fetch-Site` of an address somebody typed, and of a page that came from here."""


class Headers(Protocol):
    """The headers of a request; one name may come several times."""

    def getall(self, name: str, default: list[str], /) -> list[str]: ...

    def __contains__(self, name: object, /) -> bool: ...


class Guard:
    """The rules for one port."""

    def __init__(self, host: str | None, token: Secret | None) -> None:
        """`host` is what is listened on; None: every interface."""
        self._host = None if host is None else host.lower()
        self._token = None if token is None else token.reveal().encode()
        self._loopback = host is not None and _is_loopback(host)

    @property
    def wants_token(self) -> bool:
        """Whether everybody has to show one."""
        return self._token is not None

    def refusal(self, headers: Headers, target: str = "/") -> tuple[int, str] | None:
        """Status and text when the request is refused, else None. `target` is what its first line asks for."""
        hosts = headers.getall("Host", [])
        host = hosts[0] if len(hosts) == 1 else ""
        # A target with a host of its own counts, whatever the header says.
        if not self._names_us(host) or (not target.startswith("/") and urlsplit(target).netloc != host):
            return 403, REBOUND
        if any(origin.partition("://")[2] != host for origin in headers.getall("Origin", [])):
            return 403, FOREIGN
        if any(site not in _OUR_PAGES for site in headers.getall("Sec-Fetch-Site", [])):
            return 403, FOREIGN
        if self._token is None:
            if not self._loopback:
                return 403, OPEN
            return (403, PROXIED) if any(name in headers for name in _OF_PROXIES) else None
        return None if self._shown(headers.getall("Authorization", [])) else (401, NO_TOKEN)

    def _shown(self, given: list[str]) -> bool:
        """Whether it is the token; how long that takes says nothing of it."""
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        # Bytes that are no UTF-8 come as surrogates, and are nobody's token.
        shown = token.strip().encode(errors="surrogateescape")
        assert self._token is not None
        return scheme.lower() == "bearer" and hmac.compare_digest(shown, self._token)

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
