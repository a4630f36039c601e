"""``python -m tests.conformance [SUITE ...]``: CPython's own suites, as they are, ``socketserver`` replaced.

Each suite runs twice, with the standard library's module and with ours. Every test that passes there has to
pass here, none may be skipped that is not skipped there, and nothing may be left: threads, children,
descriptors, settings. One line for each suite, the reasons below it; the exit code is 1 if a suite does worse
with ours.

The interpreter that this runs in is the one that is tested, with the suites of its own ``test`` package;
where it has none, as those of Debian have not, there is nothing to compare with, which is said, and is no
error.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from .outcomes import HEADING, differences, summary
from .suites import SIDES, SUITES, missing, output_of, run

TAIL = 40
"""How many lines of what a suite printed are shown when it differs."""


def main(suites: list[str]) -> int:
    """Compare, print, and return the exit code."""
    if unknown := [suite for suite in suites if suite not in SUITES]:
        print(f"no such suite: {' '.join(unknown)}; there are: {' '.join(SUITES)}", file=sys.stderr)
        return 2
    print(f"Python {sys.version.split()[0]}")
    lacking = {suite: why for suite in suites or SUITES if (why := missing(suite)) is not None}
    for why in sorted(set(lacking.values())):
        print(f"nothing to compare with: {why}")
    present = [suite for suite in suites or SUITES if suite not in lacking]
    if not present:
        return 0
    print(HEADING)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        worse = [suite for suite in present if not is_same(suite, Path(folder))]
    seconds = time.monotonic() - started
    print(f"{len(present) - len(worse)} suites the same, {len(worse)} not, in {seconds:.0f} s", flush=True)
    return 1 if worse else 0


def is_same(suite: str, folder: Path) -> bool:
    """Compare the two sides of one suite, and print what comes of it."""
    stdlib, ours = run(suite, list(SIDES), folder)
    if first := differences(stdlib, ours):
        # The suites have tests that depend on how fast the machine is. What is wrong with our module is wrong
        # also when one side has the machine for itself; what was seen the first time is printed in any case.
        stdlib, ours = [one for side in SIDES for one in run(suite, [side], folder)]
    found = differences(stdlib, ours)
    print(summary(suite, stdlib, ours, found), flush=True)
    for difference in found:
        print(f"    {difference}")
    if first and not found:
        print("    (the same only when run alone; both sides at once:")
        print("\n".join(f"    {difference}" for difference in first) + ")")
    if found:
        lines = output_of(suite, "ours", folder).read_text(encoding="utf-8", errors="replace").splitlines()
        print("\n".join(f"    | {line}" for line in lines[-TAIL:]), flush=True)
    return not found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
