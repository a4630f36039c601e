"""One worker, as the parent sees it.

1. `Worker.run` is the whole life of the process: whoever starts it in a nursery has the process ended and
   reaped when the nursery ends. It is shielded, since a process does not end by our being cancelled, and it
   is bounded once the worker was told to stop. (P1, P5)
2. A worker that was not yet told to serve has accepted nothing: it is killed without loss.
3. One that was is told to shut down, with a grace period; who is still there `kill_timeout` seconds after
   that, or after the end of a drain that had none, has not listened, and is killed.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, Final

import trio

from .._vocabulary.reports import ShutdownReport
from .._vocabulary.workers import WorkerProcess, WorkerState
from .channel import Channel
from .command import worker_command

if TYPE_CHECKING:
    from .channel import Message

_COUNTS: Final = ("accepted", "finished", "failed", "cancelled", "rejected")
_PATIENCE: Final = 5.0
"""Seconds for the first request of a new connection: as many as Go's ``net/http`` gives it at a shutdown."""

_LAST_STANDARD: Final = 2
"""The descriptor of standard error."""


class Worker:
    """A worker, from before its process is launched until it was reaped.

    Attributes:
      slot: Its place.
      pid: The id of its process; 0 until it was launched.
      state: What it is doing.
      generation: How many had its place before.
      told_to_serve: Whether it was told to serve: before that it has accepted nothing.
      expected: Whether it was told to end.
      loaded: Set when it could serve, or has ended.
      ready: Set when it serves, or has ended.
      ended: Set when it has ended.
      relieved: Set when another one is to take its place, since it has ended or wants to; or has taken it.
      exit_status: As ``subprocess``'s ``returncode``, in the end; ``None`` if there never was a process.
      report: What became of its requests, in the end, if it could say.
      failure: What is to be said of it if it never served.
    """

    def __init__(self, slot: int, generation: int, *, start_timeout: float, kill_timeout: float) -> None:
        self.slot = slot
        self.generation = generation
        self.pid = 0
        self.state = WorkerState.STARTING
        self.told_to_serve = False
        self.expected = False
        self.loaded = trio.Event()
        self.ready = trio.Event()
        self.ended = trio.Event()
        self.relieved = trio.Event()
        self.exit_status: int | None = None
        self.report: ShutdownReport | None = None
        self.failure = ""
        self._start_timeout = start_timeout
        self._kill_timeout = kill_timeout
        self._started = trio.current_time()
        self._ready_since: float | None = None
        self._unwanted = False
        self._bound = trio.CancelScope(shield=True)
        self._start_deadline = math.inf
        self._stop_deadline = math.inf
        self._channel: Channel | None = None

    @property
    def has_served(self) -> bool:
        """Whether it ever said that it serves."""
        return self._ready_since is not None

    @property
    def served_for(self) -> float:
        """Seconds since it began to serve; 0 if it has not."""
        return 0.0 if self._ready_since is None else trio.current_time() - self._ready_since

    def snapshot(self) -> WorkerProcess:
        """As it is now."""
        age = trio.current_time() - self._started
        return WorkerProcess(
            slot=self.slot, pid=self.pid, state=self.state, age=age, replaces=self.generation
        )

    # What it is told.

    def serve(self) -> None:
        """Let it accept requests; once it is `loaded`."""
        if self._channel is not None and not self._unwanted:
            self.told_to_serve = True
            self._channel.tell("serve")

    def stop(self, grace_period: float | None, *, replaced: bool = False) -> None:
        """Make it end: see the rules 2 and 3. May be called at any time; the earliest end holds.

        Where it was ``replaced`` no client is to notice: not even one that is connected to it, and sends its
        first request a little later.
        """
        self.expected = True
        if not self.told_to_serve:
            self._unwanted = True
            self._bound.cancel()
            return
        assert self._channel is not None
        self._channel.tell("shutdown", grace_period=grace_period, patience=_PATIENCE if replaced else 0.0)
        if self.state is not WorkerState.ENDED:
            self.state = WorkerState.DRAINING
        if grace_period is not None:
            latest = trio.current_time() + grace_period + self._kill_timeout
            self._stop_deadline = min(self._stop_deadline, latest)
            self._set_bound()
        self._bound_what_follows_the_drain()

    def _bound_what_follows_the_drain(self) -> None:
        """A drain may have no bound; what a process does after it has one: a thread may go on in it."""
        if self.expected and self.report is not None and math.isinf(self._stop_deadline):
            self._stop_deadline = trio.current_time() + self._kill_timeout
            self._set_bound()

    def _set_bound(self) -> None:
        """Have it killed when it is time."""
        self._bound.deadline = min(self._start_deadline, self._stop_deadline)

    # Its life.

    async def run(self, start: Message, sockets: list[socket.socket]) -> None:
        """Launch it, listen to it, wait for its end, and reap it. If there is no process to be had, `failure`
        says why; nothing is raised.

        Args:
          start: What it makes its server with.
          sockets: What it serves on.
        """
        if self._unwanted:
            self._end()
            return
        # Now: when the parent stops, it closes them while the process is launched.
        descriptors = [sock.fileno() for sock in sockets]
        with trio.CancelScope(shield=True):
            try:
                with contextlib.ExitStack() as copies:
                    descriptors = [_not_standard(number, copies) for number in descriptors]
                    process = await self._launch(descriptors)
            except (OSError, RuntimeError) as error:  # the latter for no thread to launch it in
                self.failure = f"no process could be started: {error}"
                self._end()
                return
            assert self._channel is not None
            try:
                self._start_deadline = trio.current_time() + self._start_timeout
                self._set_bound()
                with self._bound:  # P5
                    if not self._unwanted:
                        await self._converse(process, {**start, "sockets": descriptors})
                if process.poll() != 0:
                    # The group: the processes that it has forked to serve requests end with it, be it that it
                    # is killed now or has crashed. One that ended in order has seen to them itself.
                    with contextlib.suppress(OSError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()
                self._finish(process.returncode)
            finally:
                self._end()

    async def _launch(self, descriptors: list[int]) -> trio.Process:
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as copies:
            self._channel = Channel(ours)
            try:
                number = _not_standard(theirs.fileno(), copies)
                process = await trio.lowlevel.open_process(
                    worker_command(number),
                    stdin=subprocess.DEVNULL,
                    pass_fds=[number, *descriptors],
                    # Ctrl-C goes to all processes of the terminal's foreground group: here it is for the
                    # parent alone, who tells the workers.
                    start_new_session=True,
                )
            except BaseException:
                self._channel.close()
                raise
        self.pid = process.pid
        return process

    async def _converse(self, process: trio.Process, start: Message) -> None:
        """Tell it what to do, and listen until its process has ended."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, start)
            await process.wait()
            # Not the end of the channel: a process that the worker has forked may have a copy of its end.
            nursery.cancel_scope.cancel()

    @trio.lowlevel.enable_ki_protection
    async def _listen(self, start: Message) -> None:
        assert self._channel is not None
        await self._channel.send("start", **start)
        while (message := await self._channel.receive()) is not None:
            self._heed(message)

    def _heed(self, message: Message) -> None:
        match message["kind"]:
            case "loaded":
                self.loaded.set()
            case "ready":
                self._ready_since = trio.current_time()
                if self.state is WorkerState.STARTING:
                    self.state = WorkerState.SERVING
                self._start_deadline = math.inf
                self._set_bound()
                self.ready.set()
            case "leaving":
                self.relieved.set()
            case "ended":
                self.report = ShutdownReport(**{name: message[name] for name in _COUNTS})
                self._bound_what_follows_the_drain()
            case "failed":
                self.failure = message["text"]

    def _finish(self, status: int | None) -> None:
        """The process was reaped: note how it ended, and what it has said last."""
        assert self._channel is not None
        self.exit_status = status
        while (message := self._channel.receive_nowait()) is not None:
            self._heed(message)
        if self.report is None and not self.told_to_serve:
            self.report = ShutdownReport()  # it had nothing to serve
        if not self.failure:
            if self._bound.cancelled_caught and self._ready_since is None and not self._unwanted:
                self.failure = f"it could not serve within {self._start_timeout:g} s"
            else:
                self.failure = f"its process {describe_status(status)}"

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self.state = WorkerState.ENDED
        for event in (self.loaded, self.ready, self.ended, self.relieved):
            event.set()


def _not_standard(descriptor: int, copies: contextlib.ExitStack) -> int:
    """A descriptor, or a copy of one whose number means standard input, output or error to the worker.

    A program that has closed its own, as daemons do, gets these numbers for its next sockets.
    """
    if not 0 <= descriptor <= _LAST_STANDARD:
        return descriptor
    import fcntl  # not on Windows, where there are no workers

    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LAST_STANDARD + 1)
    copies.callback(os.close, copy)
    return copy


def describe_status(status: int | None) -> str:
    """How a process has ended, in words."""
    if status is None or status >= 0:
        return f"exited with status {status}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-status).name}"
    return f"was killed by signal {-status}"
