"""The same seeds in two processes that hash strings differently, and what differs between their logs."""

from __future__ import annotations

import os
import subprocess
import tempfile
from itertools import zip_longest
from pathlib import Path
from typing import Final

SCRIPT: Final = Path(__file__).with_name("logs.py")
SCENARIO: Final = "tests.testing.determinism.scenario:main"
HASH_SEEDS: Final = ("1", "2")


def printed(python: str, program: str, first: int, count: int) -> list[list[str]]:
    """The lines that `SCRIPT` prints in each of two processes, which run at the same time.

    Raises:
      subprocess.CalledProcessError: One of them failed; what it said is on this process's stderr.
    """
    command = [python, str(SCRIPT), program, str(first), str(count)]
    lines: list[list[str]] = []
    processes: list[subprocess.Popen[str]] = []
    with tempfile.TemporaryFile("w+") as one, tempfile.TemporaryFile("w+") as other:
        try:
            for hash_seed, output in zip(HASH_SEEDS, (one, other), strict=True):
                env = os.environ | {"PYTHONHASHSEED": hash_seed}
                processes.append(subprocess.Popen(command, env=env, stdout=output, text=True))
            for process, output in zip(processes, (one, other), strict=True):
                if process.wait():
                    raise subprocess.CalledProcessError(process.returncode, command)
                output.seek(0)
                lines.append(output.read().splitlines())
        finally:
            for process in processes:
                process.kill()
                process.wait()
    return lines


def difference(python: str, program: str, seed: int) -> str:
    """The first line that differs between the logs of one seed."""
    for number, (one, other) in enumerate(zip_longest(*printed(python, program, seed, 0)), 1):
        if one != other:
            return f"seed {seed}, line {number}:\n  {one}\n  {other}"
    return f"seed {seed}: the digests differed, but the logs of a second time do not"
