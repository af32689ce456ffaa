"""Who may ask: whoever names this server by a name of its own, from its own page; and what every answer says.

A page from elsewhere could otherwise have its visitors' browsers ask this server, by a name that it lets point here
(DNS rebinding), or by forms and scripts of its own (cross-site requests).
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
SAFE = ("GET", "HEAD")


class Guard:
    """Answers instead of the application where the request does not come from its own page.

    Parameters
    ----------
    app : the application
    host : the address that the server listens at
    port : its port
    names : further names under which it is reached, as behind a proxy: NAME or NAME:PORT
    """

    def __init__(self, app: ASGIApp, host: str, port: int, names: tuple[str, ...] = ()) -> None:
        self._app = app
        self._port = port
        self._addresses = host not in LOOPBACK
        self._own = {_with_port(name, port) for name in (*LOOPBACK, host)}
        self._names = {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = self._refused(scope)
        if refused is None:
            await self._app(scope, receive, with_headers)
        else:
            status, error = refused
            await JSONResponse({"error": error}, status)(scope, receive, with_headers)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if not self._known(host):
            return 421, "this server does not answer to that name; --name NAME lets it"
        origin = headers.get("origin")
        if origin is not None and (urlsplit(origin).netloc.lower() != host or not origin.startswith("http")):
            return 403, "requests from other pages are not answered"
        if scope["method"] not in SAFE and headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return 403, "requests from other pages are not answered"
        return None

    def _known(self, host: str) -> bool:
        if host in self._own or host in self._names:
            return True
        if not self._addresses:
            return False
        # a name can be made to point here by anyone, an address cannot
        try:
            address, port = urlsplit(f"//{host}").hostname, urlsplit(f"//{host}").port
            ip_address(address or "")
        except ValueError:
            return False
        return port == self._port or (port is None and self._port == 80)


def _with_port(name: str, port: int) -> str:
    address = f"[{name}]" if ":" in name else name
    return address if port == 80 else f"{address}:{port}"
