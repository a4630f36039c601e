"""A script: prints the digests of the event logs that a program leaves with some seeds, or one such log.

It has a process of its own because of ``PYTHONHASHSEED``, which is read when Python starts. Its arguments
are the program, as ``module:function``, the first seed and how many; for 0 of them it prints the whole log of
that seed.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import sys
from pathlib import Path
from typing import Any

# At the end: what is tested is what is installed, which the checkout must not hide.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from trioserver.testing import log_of, run


def log_text(program: Any, seed: int) -> str:
    """The log of one run, and how it ended."""
    try:
        result = run(program, seed=seed)
    except Exception as error:
        return f"{log_of(error)}raised {type(error).__name__}\n"
    return f"{result.log}returned {result.value!r} after {result.duration!r} s\n"


def main(name: str, first: int, count: int) -> None:
    """Print, a line for each seed."""
    logging.disable()  # handlers fail on purpose
    module, _, function = name.partition(":")
    program = getattr(importlib.import_module(module), function)
    if not count:
        sys.stdout.write(log_text(program, first))
    for seed in range(first, first + count):
        text = log_text(program, seed)
        print(seed, hashlib.sha256(text.encode()).hexdigest(), text.count("\n"), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
