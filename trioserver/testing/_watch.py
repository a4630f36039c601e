"""The events of a server, in the event log of the network that it serves on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import trioserver
from trioserver import format_address

if TYPE_CHECKING:
    from ._hosts import Host
    from ._log import EventLog


class Watchable(Protocol):
    """What has observers: every server of trioserver."""

    def add_observer(self, observer: trioserver.Observer, /) -> None:
        """Call ``observer`` with every event."""


def watch(server: Watchable, host: Host, log: EventLog) -> None:
    """Log what the server tells its observers from now on, as events of a host.

    How a server ends whose host has crashed is not logged: of a machine without power
    nothing is heard, and what is left of the server says nothing after a restart either.
    """
    name = type(server).__name__
    gone = False

    def observe(event: trioserver.ServerEvent) -> None:
        nonlocal gone
        gone = not host.up or (gone and not isinstance(event, trioserver.ServerStarted))
        if not gone:
            add(event, host.name)

    def add(event: trioserver.ServerEvent, host: str) -> None:
        match event:
            case trioserver.RequestAccepted():
                text = f"{name} request {event.request_id} from {_address(event.client_address)} begins"
                log.add(host, "request", text, request="begins", server=name, request_id=event.request_id)
            case trioserver.RequestEnded():
                # Not the text of the error: what an object's repr says may differ from run to run.
                how = event.outcome.value
                if event.error is not None:
                    how += f" with {type(event.error).__name__}"
                text = f"{name} request {event.request_id} {how} after {event.duration:g} s"
                log.add(
                    host,
                    "request",
                    text,
                    request="ends",
                    server=name,
                    request_id=event.request_id,
                    outcome=event.outcome.value,
                    duration=event.duration,
                )
            case _:
                text, fields = _of_server(event)
                log.add(host, "server", f"{name} {text}", server=name, **fields)

    server.add_observer(observe)


def _of_server(event: trioserver.ServerEvent) -> tuple[str, dict[str, Any]]:
    """What happened to the server as a whole."""
    match event:
        case trioserver.ServerStarted():
            return f"serves {_address(event.server_address)}", {"state": "started"}
        case trioserver.AcceptPaused():
            return f"pauses accepting: {event.reason}", {"state": "paused", "reason": event.reason}
        case trioserver.AcceptResumed():
            return "accepts again", {"state": "resumed"}
        case trioserver.ServerDraining():
            bound = "without bound" if event.grace_period is None else f"for {event.grace_period:g} s"
            return f"drains {bound}, {event.active} running", {"state": "draining", "active": event.active}
        case trioserver.ServerStopped(report=report):
            counts = {
                "accepted": report.accepted,
                "finished": report.finished,
                "failed": report.failed,
                "cancelled": report.cancelled,
                "rejected": report.rejected,
            }
            text = ", ".join(f"{count} {what}" for what, count in counts.items())
            return f"has stopped: {text}", {"state": "stopped", **counts}
        case _:
            return type(event).__name__, {}


def _address(address: Any) -> str:
    return format_address(address) if isinstance(address, (tuple, str, bytes)) else type(address).__name__
