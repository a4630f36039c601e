"""Processes that run a function with seeds, each one at a time, and end when we do."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import Any

from trioserver import ConfigError

from ._attempts import Attempt
from ._targets import FIXED_HASH_SEED, check_may_start_processes, hash_seed
from ._worker import Order, Refused, read_frame, write_frame

PROGRAM = "import sys; sys.path[:] = {path!r}; from trioserver.testing._worker import main; main()"


class Worker:
    """One process, a new interpreter: it shares no state with us, and no lock that another thread may hold.

    It has our ``sys.path``, environment, and options of the interpreter that change what a program does.
    Where the environment has no ``PYTHONHASHSEED`` it gets a fixed one, so that each run can be replayed.

    Raises:
      ConfigError: A module that is being imported for a run starts it.
    """

    def __init__(self, *, own_hash_seed: str | None = None) -> None:
        check_may_start_processes()
        self.hash_seed = own_hash_seed or hash_seed() or FIXED_HASH_SEED
        path = [entry or os.getcwd() for entry in sys.path]
        options = ["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []
        options += [f"-W{option}" for option in sys.warnoptions]
        # Out of the group of processes that Ctrl-C goes to: what it means for them is ours to say.
        group: dict[str, Any] = (
            {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
            if sys.platform == "win32"
            else {"process_group": 0}
        )
        self._process = subprocess.Popen(
            [sys.executable, *options, "-c", PROGRAM.format(path=path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": self.hash_seed},
            **group,
        )

    def run(self, order: Order) -> Attempt:
        """Run one order to its end, or to that of the process, which is a failure of the run.

        Raises:
          ConfigError: The function can not be loaded there.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            write_frame(self._process.stdin, order)
            answer = read_frame(self._process.stdout)
        except (EOFError, OSError):
            status = self._process.wait()
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            text = f"the process that ran it ended with {how}"
            return Attempt(order.seed, failure=text, traceback=text + "\n")
        if isinstance(answer, Refused):
            raise ConfigError(answer.reason)
        assert isinstance(answer, Attempt)
        return answer

    def kill(self) -> None:
        """End it, whatever it does; from any thread."""
        self._process.kill()

    def close(self) -> None:
        """End it, and leave nothing of it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not written yet can not be written any more
                pipe.close()
