"""``python -m tests.testing.determinism``: many seeds, twice, in processes of different ``PYTHONHASHSEED``.

The event logs must be the same, byte for byte. The digests go to a file in ``--keep``, and files that other
interpreters have left there, of the same code, are compared with. What differs is said, and is no error: only
one interpreter's runs are promised to be equal.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sys
import time
from importlib import metadata
from pathlib import Path

from .processes import HASH_SEEDS, SCENARIO, difference, printed

ROOT = Path(__file__).resolve().parents[3]


def fingerprint(program: str) -> str:
    """Stands for the code whose logs these are."""
    digest = hashlib.sha256()
    own = ROOT.joinpath(*program.partition(":")[0].split(".")[:-1])
    for folder in (ROOT / "trioserver", own):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def compare_with_others(folder: Path, own: Path, lines: list[str]) -> None:
    """Say how the logs of other interpreters compare."""
    for path in sorted(folder.glob("*.txt")):
        others = path.read_text().splitlines()
        if path == own or others[0] != lines[0]:
            continue
        differs = sum(one != other for one, other in zip(lines[1:], others[1:], strict=True))
        print(
            f"with {path.stem}: {differs} of {len(lines) - 1} differ"
            if differs
            else f"the same with {path.stem}"
        )


def main() -> int:
    """Run, compare, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.testing.determinism", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--program", default=SCENARIO, help="as module:function (default %(default)s)")
    parser.add_argument("--keep", type=Path, help="a folder for the digests")
    options = parser.parse_args()
    name = f"{platform.python_implementation()}-{platform.python_version()}-trio-{metadata.version('trio')}"
    code = fingerprint(options.program)
    began = time.monotonic()
    first, second = printed(sys.executable, options.program, options.first, options.seeds)
    if len(first) != options.seeds:
        print(f"{len(first)} of {options.seeds} seeds were run", file=sys.stderr)
        return 1
    differ = [line.split()[0] for line, other in zip(first, second, strict=True) if line != other]
    lines = sum(int(line.split()[2]) for line in first)
    print(
        f"{name}: {options.seeds} seeds of {options.program}, PYTHONHASHSEED {' and '.join(HASH_SEEDS)}: "
        f"{len(differ)} differ; {lines:,} lines of logs, {time.monotonic() - began:.0f} s"
    )
    if differ:
        print(difference(sys.executable, options.program, int(differ[0])))
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        kept = options.keep / f"{name}.txt"
        text = [f"{options.program} {options.first} {options.seeds} {code}", *first]
        kept.write_text("\n".join(text) + "\n")
        compare_with_others(options.keep, kept, text)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
