"""Which process this is, asked for each request.

Not by getpid(2): glibc remembers its answer no more, so that it is a system call, and on a virtual machine
one can cost as much as a hundred lines of Python.
"""

from __future__ import annotations

import os

_process = object()


def this_process() -> object:
    """What is the same object as long as it is the same process."""
    return _process


def _forked() -> None:
    global _process
    _process = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
