"""Signals that come during a fork, and are handled after it."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class HeldSignals:
    """A block in which the program's signal handlers are not called: they are when it ends.

    Python calls them wherever it comes to in the main thread, in the hooks of a fork, too, and throws away
    what a hook raises: Ctrl-C would be lost. A fork takes long beside the rest of a short request, so that
    many a signal comes during one. Blocking signals does not keep them from other threads, which let the main
    one call the handlers all the same.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._came: dict[int, None] = {}  # each once, as the kernel keeps them, and in order

    def _note(self, signum: int, frame: object) -> None:
        self._came[signum] = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # the others call no handlers
            note = self._note  # one object, to be known again
            try:
                for signum in signal.valid_signals():
                    if callable(handler := signal.getsignal(signum)):
                        self._handlers[signum] = handler
                        signal.signal(signum, note)
            except BaseException:  # of a handler: it has been called
                self.release()
                raise
        return self

    def release(self) -> None:
        """Give the handlers back, without calling any; in the child."""
        for signum, handler in self._handlers.items():
            if getattr(signal.getsignal(signum), "__self__", None) is self:  # or a hook has set another one
                signal.signal(signum, handler)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.release()
        except BaseException:  # of a handler that had just been given back
            self.release()
            raise
        self._handle()

    def _handle(self) -> None:
        """Call the handlers of what came, also after one that raises."""
        if self._came:
            signum = next(iter(self._came))
            del self._came[signum]
            try:
                signal.raise_signal(signum)
            finally:
                self._handle()
