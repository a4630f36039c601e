"""No library at all: one epoll loop, about the least that a server in Python can cost."""

from __future__ import annotations

import select
import signal
import socket
from typing import TYPE_CHECKING

from benchmarks.peers.registry import BACKLOG, CHUNK, HOST, Job, peer

if TYPE_CHECKING:
    from types import FrameType


class Stopped(Exception):
    """SIGTERM came."""


@peer("line", "raw", "udp", "ping")
def bare_epoll(job: Job) -> None:
    """A bare epoll loop: no timeouts, no limits, no tasks."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    if job.mode == "udp":
        datagrams(job)
    else:
        connections(job)


def datagrams(job: Job) -> None:
    """Answer all that has come, then wait."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HOST, job.port))
    sock.setblocking(False)
    poller = select.epoll()
    poller.register(sock, select.EPOLLIN)
    job.ready(sock.getsockname()[1])
    try:
        while True:
            poller.poll()
            try:
                while True:
                    data, address = sock.recvfrom(CHUNK)
                    sock.sendto(data, address)
            except BlockingIOError:
                pass
    except Stopped:
        job.stopping()
        sock.close()
        job.stopped()


class Connections:
    """What is open, what has come of a line that is not whole yet, and what did not fit into a socket."""

    def __init__(self, poller: select.epoll) -> None:
        self.poller = poller
        self.sockets: dict[int, socket.socket] = {}
        self.begun: dict[int, bytes] = {}
        self.unsent: dict[int, bytes] = {}

    def accept(self, listener: socket.socket) -> None:
        try:
            for _ in range(64):
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
                self.sockets[sock.fileno()] = sock
                self.poller.register(sock, select.EPOLLIN)
        except BlockingIOError:
            pass

    def close(self, descriptor: int) -> None:
        self.sockets.pop(descriptor).close()
        self.begun.pop(descriptor, None)
        self.unsent.pop(descriptor, None)

    def answer(self, descriptor: int, data: bytes, mode: str) -> None:
        """Send one reply for each line, or all as it came; what does not fit is kept for later."""
        replies = [data]
        # Most often there is exactly one line, and nothing has to be cut or kept.
        if mode != "raw" and (descriptor in self.begun or data.find(b"\n") != len(data) - 1):
            *lines, rest = (self.begun.pop(descriptor, b"") + data).split(b"\n")
            replies = [line + b"\n" for line in lines]
            if rest:
                self.begun[descriptor] = rest
        send = self.sockets[descriptor].send
        for place, reply in enumerate(replies):
            if mode == "ping":
                reply = b"+PONG\r\n"
            try:
                sent = send(reply)
            except BlockingIOError:
                sent = 0
            if sent < len(reply):  # and nothing more is read until it has gone
                left = (
                    b"".join(replies[place + 1 :]) if mode != "ping" else reply * (len(replies) - place - 1)
                )
                self.unsent[descriptor] = reply[sent:] + left
                self.poller.modify(descriptor, select.EPOLLOUT)
                return

    def resume(self, descriptor: int) -> None:
        """Send what had not fitted, or more of it."""
        waiting = self.unsent[descriptor]
        sent = self.sockets[descriptor].send(waiting)
        if sent < len(waiting):
            self.unsent[descriptor] = waiting[sent:]
        else:
            del self.unsent[descriptor]
            self.poller.modify(descriptor, select.EPOLLIN)


def connections(job: Job) -> None:
    """Turn after turn: accept, or send what did not fit, or receive and answer."""
    listener = socket.create_server((HOST, job.port), backlog=BACKLOG)
    listener.setblocking(False)
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    state, mode, listening = Connections(poller), job.mode, listener.fileno()
    sockets, unsent, answer = state.sockets, state.unsent, state.answer
    job.ready(listener.getsockname()[1])
    try:
        while True:
            for descriptor, _ in poller.poll(-1, 1024):
                if descriptor == listening:
                    state.accept(listener)
                    continue
                try:
                    if descriptor in unsent:
                        state.resume(descriptor)
                    elif data := sockets[descriptor].recv(CHUNK):
                        answer(descriptor, data, mode)
                    else:
                        state.close(descriptor)
                except OSError:
                    state.close(descriptor)
    except Stopped:
        job.stopping()
        for sock in sockets.values():
            sock.close()
        job.stopped()
