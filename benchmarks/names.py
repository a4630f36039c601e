"""What the servers are called in tables and plots."""

from __future__ import annotations

TITLES = {
    "trioserver": "trioserver",
    "trioserver_callbacks": "trioserver, plain def",
    "trioserver_portable": "trioserver, portable I/O",
    "trioserver_datagram_tasks": "trioserver, async",
    "trioserver_one_worker": "one worker",
    "trioserver_two_workers": "two workers",
    "trio_serve_tcp": "trio.serve_tcp",
    "anyio_trio": "anyio on trio",
    "asyncio_streams": "asyncio streams",
    "asyncio_protocol": "asyncio Protocol",
    "uvloop_streams": "uvloop streams",
    "uvloop_protocol": "uvloop Protocol",
    "gevent": "gevent",
    "socketserver_threading": "stdlib threads",
    "socketserver_threading_nodelay": "stdlib threads, no delay",
    "socketserver_udp": "stdlib UDPServer",
    "bare_epoll": "bare epoll loop",
    "redis": "redis-server",
}


def title(name: str) -> str:
    """The title of a server of ``benchmarks.peers``."""
    return TITLES.get(name, name)


def is_ours(name: str) -> bool:
    """Whether it is drawn and printed as one of ours."""
    return name.startswith("trioserver")
