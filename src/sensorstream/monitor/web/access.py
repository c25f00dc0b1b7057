"""Access to the page's server, and headers that restrict what a browser does with its responses.

A page of somebody else's can make a browser ask any address of this machine. What gives it away is the name that it
asked for (``Host``: a name that was pointed at 127.0.0.1, "DNS rebinding") and the page that it asked from
(``Origin``). Both are looked at before anything else.
"""

import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from sensorstream.monitor.listening import is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""Scripts and styles from the server alone, none of them inline; no frames; no text is ever made markup."""
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
LOOPBACK_NAMES: Final = frozenset({"localhost"})
_SAFE: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may ask.

    ``names`` are the host names that the server answers to, beside the addresses of the loopback; ``addresses``: to
    any address that is written in figures, too, since no name can be pointed there. ``token`` None: nobody is asked
    for one. ``cookie`` is the name under which a browser keeps it: ports share their cookies.
    """

    names: frozenset[str] = LOOPBACK_NAMES
    addresses: bool = False
    token: str | None = None
    cookie: str = "sensorstream"

    @classmethod
    def of(cls, host: str, port: int, names: Iterable[str] = (), token: str | None = None) -> "AccessRules":
        """The rules of a server that listens there and is called ``names``."""
        beyond = not is_loopback(host)
        known = LOOPBACK_NAMES | {name.lower().rstrip(".") for name in names}
        return cls(frozenset(known), beyond, token, f"sensorstream-{port}")

    def knows_host(self, value: str) -> bool:
        """Whether a ``Host`` names this server. The port is nobody's secret and may be another behind a tunnel."""
        host = _host_of(f"//{value}")
        if not host:
            return False
        address = _address(host)
        if address is not None:
            return self.addresses or address.is_loopback
        return host.rstrip(".") in self.names

    def knows_token(self, value: str) -> bool:
        """Whether this is the token; the time that it takes does not tell how much of it was right."""
        return self.token is not None and hmac.compare_digest(value.encode(), self.token.encode())


class AccessControl:
    """An ASGI application that answers those alone whom the rules let in, with :data:`HEADERS` on every answer."""

    def __init__(self, app: "ASGIApp", rules: AccessRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request, or let the application answer it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", []))
                names = {name.lower() for name, _ in given}
                given += [
                    (name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in names
                ]
                message["headers"] = given
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: "Scope") -> "ASGIApp | None":
        """The answer to somebody who is not let in, or to somebody who brings the token in the address; else None."""
        from starlette.responses import PlainTextResponse, RedirectResponse

        rules = self._rules
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if sum(name.lower() == b"host" for name, _ in scope["headers"]) != 1 or not rules.knows_host(host):
            return PlainTextResponse(
                "This server does not answer to that host name; use the address that the program printed, "
                "or start it with --allow-host NAME.\n",
                421,
            )
        origin = headers.get("origin")
        if origin is None:
            if scope["method"] not in _SAFE:
                return PlainTextResponse("A change is asked for without an Origin.\n", 403)
        elif not _same_origin(origin, host):
            return PlainTextResponse("Pages of other origins may not ask this server.\n", 403)
        if headers.get("sec-fetch-site") == "cross-site" and (scope["path"] != "/" or scope["method"] != "GET"):
            return PlainTextResponse("Pages of other sites may not ask this server.\n", 403)
        if rules.token is None or rules.knows_token(_bearer(headers)) or rules.knows_token(self._cookie(headers)):
            return None
        if scope["path"] == "/" and scope["method"] == "GET":
            given = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token", "")
            if rules.knows_token(given):
                # Out of the address bar and the history, into a cookie that no script can read.
                response = RedirectResponse("/", 303)
                # Lax, not strict: who opens the address from a chat or a mail comes from another site, and a strict
                # cookie would not be sent with the redirect. A change needs the page's own Origin anyway.
                response.set_cookie(rules.cookie, given, httponly=True, samesite="lax", path="/")
                return response
        return PlainTextResponse(
            "A token is asked for: open the address that the program printed when it was started.\n",
            401,
            {"www-authenticate": "Bearer"},
        )

    def _cookie(self, headers: Mapping[str, str]) -> str:
        # All programs on this machine share their cookies; the standard library's parser gives up at one such as
        # JSON, and ours after it would be lost.
        from starlette.requests import cookie_parser

        return cookie_parser(headers.get("cookie", "")).get(self._rules.cookie, "")


def _bearer(headers: Mapping[str, str]) -> str:
    kind, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else ""


def _same_origin(origin: str, host: str) -> bool:
    """Whether a page's origin is the server that it asks; TLS may end at a proxy before it."""
    return origin.lower() in {f"{scheme}://{host.lower()}" for scheme in ("http", "https")}


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.path or parts.query or parts.fragment or parts.username is not None or (parts.port or 1) < 1:
            return ""
        return (parts.hostname or "").lower()
    except ValueError:
        return ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
