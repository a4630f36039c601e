"""The planted faults; the scenario has to find each of them. To look for all, or for some by number:

python -m tests.testing.under_fire.planted [NUMBER ...]
"""

from __future__ import annotations

import sys
import time
from typing import Final

from .planting import Planted, look_for

MAX_SEEDS: Final = 1000

FAULTS: Final = (
    Planted(
        "a connection that broke is not closed",
        "P1",
        "_transports.socket_stream",
        "SocketStream.close",
        "self._endpoint.close()",
        "self._peer_error is None and self._endpoint.close()",
    ),
    Planted(
        "shutdown() returns when the drain begins",
        "P1",
        "_engine.engine",
        "Engine.wait_stopped",
        "self._stopped.wait()",
        "self._draining.wait()",
    ),
    Planted(
        "accepting has a checkpoint after it has taken a connection",
        "P2",
        "_servers.stream",
        "StreamServer.get_request",
        "        engine = self._engine\n",
        "        import trio\n        await trio.lowlevel.checkpoint()\n        engine = self._engine\n",
    ),
    Planted(
        "a failed request is counted twice",
        "P3",
        "_engine.serve",
        "end_request",
        "engine.counts.add(outcome)",
        "engine.counts.add(outcome), record.error and engine.counts.add(outcome)",
    ),
    Planted(
        "a rejected request counts as finished",
        "P3",
        "_vocabulary.reports",
        "Counts.add",
        "self.rejected += 1",
        "self.finished += 1",
    ),
    Planted(
        "a cancelled request counts as finished",
        "P3",
        "_engine.serve",
        "end_request",
        "or Outcome.CANCELLED",
        "or Outcome.FINISHED",
    ),
    Planted(
        "the report of a run has the requests of those before",
        "P3",
        "_engine.engine",
        "Engine._end",
        "self.counts.report(",
        "self._before.plus(self.counts).report(",
    ),
    Planted(
        "finish is not shielded from the cancellation",
        "P4",
        "_handlers.base",
        "BaseRequestHandler._finish_shielded",
        "shield=True",
        "shield=False",
    ),
    Planted(
        "what a handler raises to stop the server is raised as a group",
        "P4",
        "_engine.exceptions",
        "merge",
        "len(several) == 1",
        "len(several) == 0",
    ),
    Planted(
        "a fatal error is forgotten",
        "P4",
        "_engine.engine",
        "Engine.fail",
        "self._failures.append(error)",
        "pass",
    ),
    Planted(
        "the grace period has no end",
        "P5",
        "_engine.engine",
        "Engine.request_stop",
        "scope.deadline = min(scope.deadline, now + grace_period)",
        "pass",
    ),
    Planted(
        "the last of several shutdowns counts, not the earliest end",
        "P5",
        "_engine.engine",
        "Engine.request_stop",
        "min(scope.deadline, now + grace_period)",
        "now + grace_period",
    ),
    Planted(
        "shutdown does not cancel accepting",
        "P5",
        "_engine.engine",
        "Engine.request_stop",
        "self._accept_scope.cancel()",
        "pass",
    ),
    Planted(
        "a connection that is idle does not hear of the drain",
        "P5",
        "_transports.stream",
        "RequestStream.begin_drain",
        "self.interrupt()",
        "pass",
    ),
    Planted(
        "request_timeout is never due",
        "P5",
        "_engine.serve",
        "watch_deadline",
        "engine.deadlines.add(record, record.deadline)",
        "pass",
    ),
    Planted(
        "finish_timeout is never due",
        "P5",
        "_handlers.base",
        "BaseRequestHandler._limit",
        "shield.deadline = trio.current_time() + self.finish_timeout",
        "pass",
    ),
    Planted(
        "a shutdown that was asked for before serving is lost",
        "P5",
        "_engine.engine",
        "Engine._run_requests",
        "if self.state is State.SERVING:",
        "self.state = State.SERVING\n                    if True:",
    ),
    Planted(
        "one request more than max_requests",
        "P6",
        "_engine.accept",
        "_accept_while_permitted",
        "len(engine.requests) >= limit",
        "len(engine.requests) > limit",
    ),
    Planted(
        "a limit that is lowered counts after the next request only",
        "P6",
        "_engine.engine",
        "Engine.limit_changed",
        "self.permit_scope.cancel()",
        "pass",
    ),
    Planted(
        "the place of a failed request is not given to the next one",
        "P6",
        "_engine.serve",
        "end_request",
        "if engine.room:",
        "if engine.room and not record.error:",
    ),
    Planted(
        "one session more than max_requests",
        "P6",
        "_servers.sessions",
        "UDPSessionServer.get_request",
        "active < self.max_requests",
        "active <= self.max_requests",
    ),
    Planted(
        "the delay does not double",
        "P7",
        "_vocabulary.accept_errors",
        "Backoff.next_delay",
        "self._delay * 2",
        "self._delay",
    ),
    Planted(
        "there is no delay",
        "P7",
        "_engine.accept",
        "_survive",
        "await trio.sleep(backoff.next_delay())",
        "await trio.sleep(0 * backoff.next_delay())",
    ),
    Planted(
        "the delay does not begin anew after a success",
        "P7",
        "_vocabulary.accept_errors",
        "Backoff.reset",
        "self._delay = 0.0",
        "pass",
    ),
    Planted(
        "exhaustion stops the server",
        "P7",
        "_vocabulary.accept_errors",
        "verdict",
        "in _BACK_OFF",
        "in ()",
    ),
    Planted(
        "errors that are skipped are skipped for ever",
        "P7",
        "_vocabulary.accept_errors",
        "Backoff.skipped",
        "self._skips > self.SKIPS_IN_A_ROW",
        "False",
    ),
    Planted(
        "a connection that was reset in the backlog stops the server",
        "P7",
        "_servers.stream",
        "StreamServer.get_request",
        "        engine = self._engine\n",
        "        endpoint.socket.getpeername()\n        engine = self._engine\n",
    ),
    Planted(
        "handshake_timeout is never due",
        "P8",
        "_servers.stream",
        "StreamServer.handshake_request",
        "timeout=self.handshake_timeout",
        "timeout=None",
    ),
    Planted(
        "a request's task can be cancelled before it has the request",
        "P2",
        "_engine.serve",
        "serve_requests",
        "    with trio.CancelScope() as scope:\n",
        "    await trio.lowlevel.checkpoint()\n    with trio.CancelScope() as scope:\n",
    ),
)


def main() -> int:
    """Look for the faults; 1 if one was not found."""
    chosen = [int(number) for number in sys.argv[1:]] or range(1, len(FAULTS) + 1)
    lost = 0
    for number in chosen:
        fault, start = FAULTS[number - 1], time.monotonic()
        found = look_for(fault, range(MAX_SEEDS))
        lost += found.seeds is None
        seeds = "not found" if found.seeds is None else f"{found.seeds}"
        by = found.how.partition(":")[0]
        print(f"| {number} | {fault.what} | {fault.promise} | {seeds} | {by} |", flush=True)
        print(f"    {time.monotonic() - start:.1f} s; {found.how[:250]}", file=sys.stderr, flush=True)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
