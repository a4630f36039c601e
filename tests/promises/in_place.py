"""A server that serves in place, for the tests of requests without a task."""

from __future__ import annotations

from typing import Any

import trioserver

from .fakes import ScriptedServer, at_once


class InPlace(ScriptedServer):
    """Calls a plain function for each request; has all of them at hand, without a wait in between."""

    def __init__(self, function: Any, *requests: Any, **options: Any) -> None:
        super().__init__(requests, at_once, **options)
        self._function = function
        self.served: list[Any] = []

    @property
    def serves_in_place(self) -> bool:
        """True."""
        return True

    def handle_in_place(self, request: Any, client_address: Any) -> None:
        """Call the function, and note the request before."""
        self.served.append(request)
        self._function(request)


def fail_for(*bad: Any, error: type[BaseException] = ValueError) -> Any:
    """A function that raises for some requests."""

    def function(request: Any) -> None:
        if request in bad:
            raise error(request)

    return function


def assert_counted(server: InPlace, **counts: int) -> None:
    """P3: the statistics and the events say the same, and every request is in them once."""
    statistics = server.statistics()
    assert statistics.active == 0
    assert statistics.accepted == len(server.taken) == sum(counts.values())
    for name in ("finished", "failed", "cancelled", "rejected"):
        assert getattr(statistics, name) == counts.get(name, 0)
        assert len([e for e in server.ended() if e.outcome.value == name]) == counts.get(name, 0)
    accepted = [e.request_id for e in server.recorder if isinstance(e, trioserver.RequestAccepted)]
    assert accepted == sorted(set(accepted)) == sorted(e.request_id for e in server.ended())
