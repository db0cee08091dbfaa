"""Run the server of a session until it is stopped."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.inspection.extras import Extras
from convnet_galaxies.inspection.guard import LOCAL_NAMES
from convnet_galaxies.inspection.server import make_app
from convnet_galaxies.inspection.session import Session

LOCAL_ADDRESSES = ("127.0.0.1", "localhost", "::1")
SHORTEST_TOKEN = 16


def check_place(host: str, port: int, token: str | None) -> None:
    """Raise UsageError for an address beyond this machine without a token, a token that is short, or a wrong port."""
    if host not in LOCAL_ADDRESSES and token is None:
        raise UsageError(
            f"--host {host}: other machines could reach the page, which needs a token of yours",
            f"leave --host out, or set --token to a secret of at least {SHORTEST_TOKEN} characters",
        )
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isalnum()):
        raise UsageError(
            f"--token: found {len(token)} characters, expected at least {SHORTEST_TOKEN} letters and digits",
            "leave it out for one by chance, or make one, e.g. with openssl rand -hex 16",
        )
    if not 0 <= port < 65_536:
        raise UsageError(f"--port: found {port}, expected 0 to 65535", "give e.g. 8765, or 0 for any that is free")


def serve(
    session: Session,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    names: Sequence[str] = (),
    extras: Extras | None = None,
    announce: Callable[[str], None],
) -> None:
    """Serve a session. names: further names by which the server may be called, as behind a proxy.

    announce: called with the address to open. Raises KeyboardInterrupt once it is stopped by a signal, InputError when
    the port is in use, and UsageError as check_place.
    """
    import uvicorn

    check_place(host, port, token)
    listener = _listen(host, port)
    port = listener.getsockname()[1]
    token = token or secrets.token_hex(16)
    is_local = host in LOCAL_ADDRESSES
    own = host if host not in ("0.0.0.0", "::") else socket.gethostname()
    app = make_app(
        session,
        token=token,
        hosts=[*LOCAL_NAMES, own, socket.getfqdn(), *names] if not is_local else LOCAL_NAMES,
        by_address=not is_local,
        cookie=f"inspect-{port}",
        extras=extras,
    )
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, date_header=False)
    announce(f"http://{f'[{own}]' if ':' in own else own}:{port}/?token={token}")
    server = uvicorn.Server(config)
    try:
        server.run(sockets=[listener])
        # uvicorn ends its work on Ctrl-C and raises the signal again, which does nothing where a shell lets its
        # background jobs ignore it.
        if server.should_exit:
            raise KeyboardInterrupt
    finally:
        listener.close()
        session.close()
        if extras is not None and extras.samp is not None:
            extras.samp.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's delay of 40 ms off only where the protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise InputError(
            f"{host}, port {port}: cannot be listened on ({error.strerror or error})",
            "close the program that uses it, or choose another with --port (0: any that is free)",
        ) from None
    return listener
