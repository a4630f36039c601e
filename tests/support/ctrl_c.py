"""Ctrl-C before any one line of chosen files: a trace function."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
