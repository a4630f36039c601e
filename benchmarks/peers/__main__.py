"""``python -m benchmarks.peers NAME PORT MODE``: serve until SIGTERM."""

from __future__ import annotations

import resource
import signal
import sys

from benchmarks.peers import PEERS
from benchmarks.peers.registry import LIFETIME, Job


def main() -> None:
    try:
        _, name, port, mode = sys.argv
        peer, job = PEERS[name], Job(int(port), mode)
        if mode not in peer.modes:
            raise ValueError(mode)
    except (ValueError, KeyError):
        listed = "\n".join(
            f"  {name:<31} {' '.join(peer.modes):<32}{peer.about}" for name, peer in PEERS.items()
        )
        sys.exit(f"usage: python -m benchmarks.peers NAME PORT MODE\n\nNAME and its MODEs:\n{listed}")
    signal.alarm(LIFETIME)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    peer.serve(job)


if __name__ == "__main__":
    main()
