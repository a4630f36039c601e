"""Ctrl-C before any one line of chosen files: a trace function."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType


class CtrlC:
    """Sends SIGINT to this process before the k-th line that runs of these files; for ``sys.settrace``.

    Args:
      k: Which line, from 1.
      files: How the names of the files end.

    Attributes:
      lines: How many of their lines have run.
    """

    def __init__(self, k: int, files: tuple[str, ...]) -> None:
        self.k = k
        self.files = files
        self.lines = 0

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line":
            self.lines += 1
            if self.lines == self.k:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
                return None
        elif not frame.f_code.co_filename.endswith(self.files):
            return None
        return self


def run_until_ctrl_c(ctrl_c: CtrlC, main: Callable[[CtrlC, Any], Awaitable[object]], server: Any) -> bool:
    """Run ``main(ctrl_c, server)``, which traces with it; whether KeyboardInterrupt came out of trio.

    What traced before traces again.
    """
    before = sys.gettrace()
    try:
        trio.run(main, ctrl_c, server)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False
