"""kopf's watches over connections that notice when nobody is at the other end any more.

A watch of a kind of which there is nothing can be silent for hours: the API server sends bookmarks
only where something has changed. So it is TCP that asks whether the peer is there, which costs no
request, and not a watch that is opened anew (docs/decisions/0026).
"""

import socket
from typing import Any, Final

import aiohttp
import kopf

# A peer that is gone is noticed within about two minutes.
_OPTIONS: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


async def login(**arguments: Any) -> kopf.AiohttpSession | None:
    """Log in as the pod's service account, or with KUBECONFIG outside of a cluster.

    A coroutine, since kopf runs other handlers in threads, and a session belongs to a loop.
    """
    info = kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)
    if info is None:
        return None
    return kopf.AiohttpSession(
        server=info.server,
        default_namespace=info.default_namespace,
        priority=info.priority,
        expiration=info.expiration,
        aiohttp_session=_session(info),
    )


def _session(info: kopf.ConnectionInfo) -> aiohttp.ClientSession:
    """As kopf makes it, but for the sockets."""
    connector = aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context(), socket_factory=kept_alive)
    return aiohttp.ClientSession(
        connector=connector,
        headers=info.as_http_headers(),
        proxy=info.proxy_url,
        trust_env=info.trust_env,
    )


def kept_alive(address: Any) -> socket.socket:
    """Make a socket for an address (as ``getaddrinfo`` gives it) whose peer is asked for."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        if hasattr(socket, name):  # not everywhere: macOS names one of them otherwise
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
