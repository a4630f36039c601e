"""Signals for a main thread that waits."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from .kit import Call, Flag

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self


class Signaller:
    """While its block runs, signals come to the main thread, from ``after`` seconds or ``when`` on.

    The first one calls ``action``, which may raise. There are more, since one that comes just before a system
    call does not end it.
    """

    def __init__(
        self, action: Callable[[], object] | None = None, when: Flag | None = None, after: float = 0.002
    ) -> None:
        self.received = 0
        self._action = action
        self._when = when
        self._after = after
        self._stop = Flag()
        self._entered = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGUSR1, self._on_signal)
        self._thread = Call(self._send)
        self._entered = True  # an error raised in here would leave all of it behind
        return self

    def __exit__(self, *_: object) -> None:
        self._action = None  # what it raises must not reach who looks at the test's own error
        self._stop.set()
        self._thread.wait()
        signal.signal(signal.SIGUSR1, self._before)

    def _on_signal(self, *args: object) -> None:
        self.received += 1
        action, self._action = self._action, None
        if action is not None:
            action()

    def _send(self) -> None:
        while not self._entered:
            self._stop.wait(0.0001)
        pause = self._after
        while not self._stop.wait(pause):
            pause = 0.002
            if self._when is None or self._when.is_set():
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
