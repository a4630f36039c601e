"""``python -m trioserver.testing``: replay a run, explore seeds, check that a program is deterministic."""

from __future__ import annotations

import os
import subprocess
import sys

from ._command_line import main
from ._targets import FIXED_HASH_SEED, hash_seed


def start() -> int:
    """Run the command, in an interpreter that has a fixed hash seed: this one, or a new one."""
    if hash_seed() is not None or not sys.executable:
        return main()
    # The hashes of strings can only be chosen when an interpreter starts; a seed that failed in a process of
    # `explore` must fail here too.
    environment = {**os.environ, "PYTHONHASHSEED": FIXED_HASH_SEED}
    command = [sys.executable, *sys.orig_argv[1:]]
    if sys.platform == "win32":  # where exec starts a second process, for which nobody waits
        return subprocess.run(command, env=environment, check=False).returncode
    os.execve(sys.executable, command, environment)


if __name__ == "__main__":
    sys.exit(start())
