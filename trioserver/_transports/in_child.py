"""The child's side of a fork: it leaves what it has inherited alone, serves, and exits.

A child that is forked inside of trio has a copy of everything, with a few things still shared with its
parent: descriptors, and so the epolls and the sockets behind them. It never gets back into the loop: whatever
is raised, `run_in_child` ends in ``os._exit``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Report: TypeAlias = Callable[[bytes], object]

_MAX_REPORT_BYTES = 512
"""POSIX's least PIPE_BUF: so much is written to an empty pipe at once, and without a wait."""


class Terminated(SystemExit):
    """SIGTERM came: the request was cancelled. A ``SystemExit``, for what that means to ``except``
    clauses."""


def run_in_child(serve: Callable[[Report], int], reader: int, writer: int, mask: Iterable[Any]) -> NoReturn:
    """Be the child: call ``serve(report)``, and exit with what it returns.

    ``SystemExit`` and ``KeyboardInterrupt`` it may raise, and they mean what they mean at the end of a
    program: the status, and an end by SIGINT. SIGTERM raises one of the former, so that ``finally`` clauses
    run, and then is what the process ends by. A second SIGTERM ends it at once.

    Args:
      serve: What to do.
      reader: The parent's end of the pipe for the report.
      writer: The child's.
      mask: The signals that were blocked before the fork.
    """
    status = 1
    killed_by: signal.Signals | None = None
    try:
        try:
            _leave_parent(mask)
            os.close(reader)
            status = serve(lambda text: os.write(writer, text[:_MAX_REPORT_BYTES]))
        except Terminated:
            killed_by = signal.SIGTERM
        except KeyboardInterrupt:
            killed_by = signal.SIGINT
        except SystemExit as error:
            status = _status_of(error)
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)  # of `serve` itself, not of what it calls
        flush_standard_streams()
    finally:
        try:
            if killed_by is not None:
                signal.signal(killed_by, signal.SIG_DFL)
                os.kill(os.getpid(), killed_by)
        finally:
            os._exit(status)


def _leave_parent(mask: Iterable[Any]) -> None:
    """Undo what trio and its program have set up in this process, then let signals in."""
    signal.set_wakeup_fd(-1, warn_on_full_buffer=False)  # it is shared: each signal would wake the parent
    for signum in signal.valid_signals():
        if callable(signal.getsignal(signum)):  # a function of the parent's, which would act on copies
            default = signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL
            signal.signal(signum, default)
    signal.signal(signal.SIGTERM, _terminate)
    sys.set_asyncgen_hooks(None, None)  # trio's would wake the parent, too
    if (sniffio := sys.modules.get("sniffio")) is not None:
        sniffio.thread_local.name = None  # so that libraries which ask do not take this for trio's thread
    signal.pthread_sigmask(signal.SIG_SETMASK, set(mask) - {signal.SIGTERM})


def _terminate(signum: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Ctrl-C goes to all processes of a terminal, and makes the parent cancel what it has interrupted here
    # already: its ``finally`` clauses should not be interrupted, too.
    if not isinstance(sys.exception(), KeyboardInterrupt):
        raise Terminated(128 + signum)


def _status_of(error: SystemExit) -> int:
    """The status with which Python would exit for it."""
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def flush_standard_streams() -> None:
    """Write out what is buffered, as far as that can be done."""
    for stream in (sys.stdout, sys.stderr):
        # It may be none at all, or closed, or broken.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.flush()
