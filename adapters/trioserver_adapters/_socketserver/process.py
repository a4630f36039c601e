"""Which process this is, asked for each request.

Not by getpid(2): glibc remembers its answer no more, so that it is a system call, and on a virtual machine
one can cost as much as a hundred lines of Python.
"""

from __future__ import annotations

import os

_process = object()
_pid = os.getpid()
_forking = 0


def this_process() -> object:
    """What is the same object as long as it is the same process."""
    if _forking and os.getpid() != _pid:
        _forked()  # a hook of the program runs in the child before ours
    return _process


def _before() -> None:
    global _forking
    _forking += 1


def _in_parent() -> None:
    global _forking
    _forking -= 1


def _forked() -> None:
    global _process, _pid, _forking
    if _forking:
        _process, _pid, _forking = object(), os.getpid(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_forked)
