"""A process of ours: pinned to one CPU, spoken to by lines, gone when its block is left."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STOP_TIMEOUT = 5.0
"""Seconds a process may take to end after SIGTERM before it is killed."""


class BenchmarkError(Exception):
    """The measurement can not go on; the message is all that the user needs to see."""


class Child:
    """A subprocess whose standard output is read line by line, each with a time limit.

    Args:
      argv: The command.
      cpu: The CPU it may use, and no other; ``None`` = all that we may use.
      environment: Its environment; ``None`` = ours.

    Ownership: leaving the ``with`` block ends the process, by SIGTERM and then by SIGKILL.
    """

    def __init__(
        self, argv: Sequence[str], *, cpu: int | None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._name = " ".join(os.path.basename(word) for word in argv)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by stop)
        self._unread = b""
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
        )
        # From outside and at once: it needs neither taskset(1) nor code between fork and exec, and
        # threads that the child starts later inherit it.
        if cpu is not None:
            os.sched_setaffinity(self.pid, {cpu})

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def terminate(self) -> None:
        """Send SIGTERM, and do not wait."""
        self._process.terminate()

    def stop(self) -> None:
        """End the process, whatever it does, and close the pipes."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            assert pipe is not None
            pipe.close()

    def read_line(self, timeout: float) -> str:
        """The next line it prints, without the newline.

        Raises:
          BenchmarkError: It ended or said nothing for *timeout* seconds; with its last words.
        """
        assert self._process.stdout is not None
        # os.read on the descriptor: select() knows nothing of what a buffered reader holds.
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + timeout
        while b"\n" not in self._unread:
            patience = max(0.0, deadline - time.monotonic())
            if not select.select([descriptor], [], [], patience)[0]:
                raise self._error(f"said nothing for {timeout:g} s")
            data = os.read(descriptor, 65536)
            if not data:
                raise self._error("ended")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def _error(self, what: str) -> BenchmarkError:
        self._errors.seek(0)
        last_words = self._errors.read().decode(errors="replace").strip()
        return BenchmarkError(f"{self._name}: {what}" + (f"\n{last_words}" if last_words else ""))
