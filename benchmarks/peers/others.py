"""Servers of other kinds: gevent's green threads, and redis, which is written in C."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import time
from typing import Any

from benchmarks.peers.registry import BACKLOG, CHUNK, HOST, Job, peer


@peer("line", "raw", "udp", modules=("gevent",))
def gevent(job: Job) -> None:
    """gevent's ``StreamServer`` and ``DatagramServer``: a greenlet for each connection."""
    # Both by their names, since this function has that of the library.
    gevent: Any = importlib.import_module("gevent")
    server_module: Any = importlib.import_module("gevent.server")
    event: Any = importlib.import_module("gevent.event")

    def line(sock: Any, address: object) -> None:
        try:
            for line in sock.makefile("rb"):
                sock.sendall(line)
        except OSError:
            pass

    def raw(sock: Any, address: object) -> None:
        try:
            while data := sock.recv(CHUNK):
                sock.sendall(data)
        except OSError:
            pass

    class Datagrams(server_module.DatagramServer):  # type: ignore[misc]
        def handle(self, data: bytes, address: object) -> None:
            self.socket.sendto(data, address)

    def make() -> Any:
        if job.mode == "udp":
            return Datagrams((HOST, job.port))
        handler = line if job.mode == "line" else raw
        return server_module.StreamServer((HOST, job.port), handler, backlog=BACKLOG, spawn=group)

    # A pool, and not spawn="default": stop() knows only of the greenlets of a pool.
    group = importlib.import_module("gevent.pool").Pool()
    server, came = make(), event.Event()
    gevent.signal_handler(signal.SIGTERM, came.set)
    server.start()
    job.ready(server.socket.getsockname()[1])
    came.wait()
    job.stopping()
    server.stop(timeout=0)
    job.stopped()


@peer("ping", programs=("redis-server",))
def redis(job: Job) -> None:
    """redis-server, without persistence, which answers ``PING``."""
    with socket.create_server((HOST, job.port)) as free:
        port = free.getsockname()[1]
    if os.fork() == 0:
        # The server is this process, so that it is what the harness measures and ends; the child says when
        # it listens, which redis says nowhere but in its log.
        while True:
            try:
                socket.create_connection((HOST, port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.01)
                if os.getppid() == 1:
                    os._exit(1)
        job.ready(port)
        os._exit(0)
    options = {
        "bind": HOST,
        "port": str(port),
        "save": "",
        "appendonly": "no",
        "tcp-backlog": str(BACKLOG),
        "logfile": os.devnull,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    os.execvp("redis-server", ["redis-server", *words])
