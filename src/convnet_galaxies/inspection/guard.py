"""Who may talk to the server: the holder of the token, by a name of this machine, and to write only its own page.

- Every request needs the token: in the address once, then in a cookie that no script can read and no other site sends.
- The Host must be one that the server was started for, or another site's name that points to 127.0.0.1 would make its
  page one of ours (DNS rebinding).
- A write needs an Origin that is this Host. Browsers send it with every write; no page can forge it.
- Bodies are limited, and every answer forbids the page to load anything from elsewhere.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 262_144
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """ASGI middleware. hosts: names, without ports, by which the server may be called. cookie: its name.

    by_address: whether it may be called by any address in numbers, which no other site can claim.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        hosts: Sequence[str] = LOCAL_NAMES,
        by_address: bool = False,
        cookie: str = "inspect",
    ) -> None:
        self._app, self._token, self._cookie, self._by_address = app, token, cookie, by_address
        self._hosts = {name.lower() for name in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        answer = self._refuse(scope)
        if answer is not None:
            await answer(scope, receive, _harden(send))
            return
        await self._app(scope, _limit(receive), _harden(send))

    def _refuse(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = _name_of(host)
        if name not in self._hosts and not (self._by_address and _is_address(name)):
            return _error(403, f"this server is not called {host[:80]!r}", "open the address that `inspect` printed")
        query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=40)
        given = query.pop("token", [""])[0]
        if scope["method"] in ("GET", "HEAD"):
            if given and self._is_token(given):
                rest = urlencode(query, doseq=True)
                answer = RedirectResponse(f"{scope['path']}{'?' + rest if rest else ''}", 303)
                answer.set_cookie(self._cookie, self._token, httponly=True, samesite="lax", path="/")
                return answer
        elif not _is_own_origin(headers.get("origin", ""), host):
            return _error(403, "a write must come from this server's own page", "use the page itself")
        elif int(headers.get("content-length") or 0) > MOST_BODY_BYTES:
            return _error(413, f"the request has more than {MOST_BODY_BYTES:,} bytes", "send less at once")
        if not self._is_token(cookie_parser(headers.get("cookie", "")).get(self._cookie, "")):
            return _error(401, "the token is missing or wrong", "open the address that `inspect` printed")
        return None

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())


def _limit(receive: Receive) -> Receive:
    """A receive that ends a body without a length that is too long."""
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MOST_BODY_BYTES:
            return {"type": "http.disconnect"}
        return message

    return limited


def _harden(send: Send) -> Send:
    async def hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return hardened


def _is_own_origin(origin: str, host: str) -> bool:
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _name_of(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _error(status: int, message: str, fix: str) -> JSONResponse:
    return JSONResponse({"message": message, "fix": fix}, status)
