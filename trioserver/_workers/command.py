"""The command line of a worker: a fresh interpreter that is like this one."""

from __future__ import annotations

import os
import sys
from typing import Final

_PACKAGE_PARENT: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_PROGRAM: Final = (
    "import sys; sys.path.append({path!r}); from trioserver._workers.child import main; main({descriptor})"
)
"""What the worker runs. Not ``-m``, so that its ``__main__`` is free for the user's program. The rest of the
path comes with the first message; here it is appended, so that nothing of it can hide the stdlib."""


def worker_command(descriptor: int) -> list[str]:
    """How to start a worker that inherits its end of the channel as ``descriptor``."""
    program = _PROGRAM.format(path=_PACKAGE_PARENT, descriptor=descriptor)
    return [sys.executable, *interpreter_options(), "-P", "-c", program]


def interpreter_options() -> list[str]:
    """The options that this interpreter was started with, as far as they change how programs run.

    ``subprocess._args_from_interpreter_flags`` does the same for ``multiprocessing``, and is private.
    """
    flags = sys.flags
    found = ["-" + "O" * flags.optimize] if flags.optimize else []
    if flags.isolated:
        found.append("-I")
    else:
        found += ["-E"] if flags.ignore_environment else []
        found += ["-s"] if flags.no_user_site else []
    found += ["-S"] if flags.no_site else []
    found += ["-B"] if flags.dont_write_bytecode else []
    found += ["-" + "b" * flags.bytes_warning] if flags.bytes_warning else []
    for option in sys.warnoptions:
        found += ["-W", option]
    for name, value in sys._xoptions.items():
        found += ["-X", name if value is True else f"{name}={value}"]
    return found
