"""The same seed, the same log: in any process."""

from __future__ import annotations

import sys

from trioserver.testing import run

from .processes import HASH_SEEDS, SCENARIO, difference, printed
from .scenario import main


def test_logs_when_hashes_and_processes_differ_then_they_are_the_same() -> None:
    """A dozen seeds in two processes that walk through sets of strings in different orders."""
    first, second = printed(sys.executable, SCENARIO, 0, 12)
    assert len(first) == 12
    assert len(HASH_SEEDS) == 2
    assert len({line.split()[1] for line in first}) == 12  # each seed has a run of its own
    for seed, (one, other) in enumerate(zip(first, second, strict=True)):
        if one != other:
            raise AssertionError(difference(sys.executable, SCENARIO, seed))


def test_scenario_when_it_runs_then_much_happens() -> None:
    """What the seeds are tried on is worth it: every kind of event, and every kind of packet but Unix's."""
    seen: dict[str, set[str]] = {"events": set(), "packets": set(), "faults": set()}
    for seed in range(8):
        for event in run(main, seed=seed).log:
            seen["events"].add(event.kind)
            seen["packets"].add(event.fields.get("packet", ""))
            seen["faults"].add(event.fields.get("fault", ""))
    assert {"packet", "connection", "listen", "request", "fault", "server", "note", "dns"} <= seen["events"]
    assert {"SYN", "SYN-ACK", "DATA", "FIN", "RST", "ACK", "DATAGRAM"} <= seen["packets"]
    assert {"crash", "restart", "partition", "hold", "rule"} <= seen["faults"]
