"""The life of a server as a table.

Rule 1: whether a server may be served, is to be stopped, or is closed is decided here and nowhere else.
Rule 2: what is not in the table is an error of the caller's and leaves the state as it was.

    NEW        never served
    FORESTALLED  a shutdown was asked for before serving: the next serve returns at once
    SERVING    accepting requests
    DRAINING   accepting none, waiting for those that run, until they end or are cancelled
    STOPPED    served once or more; nothing runs; may be served again
    CLOSED     for good

A shutdown asked for *before* the first serve is kept (P5: never lost); one asked for *after* a serve has
ended asks for what is already so and is not kept. (The stdlib keeps that one, too, and so its next
``serve_forever()`` returns at once.)
"""

from __future__ import annotations

import enum
from typing import Final

from .errors import AlreadyServing, ServerClosed


class State(enum.Enum):
    """What a server is doing; ``server.state`` reads it."""

    NEW = "new"
    FORESTALLED = "forestalled"
    SERVING = "serving"
    DRAINING = "draining"
    STOPPED = "stopped"
    CLOSED = "closed"


class Act(enum.Enum):
    """What can happen to a server."""

    SERVE = "serve"
    SHUT_DOWN = "shut down"
    END = "end"
    CLOSE = "close"


_TABLE: Final[dict[tuple[State, Act], State]] = {
    (State.NEW, Act.SERVE): State.SERVING,
    (State.NEW, Act.SHUT_DOWN): State.FORESTALLED,
    (State.NEW, Act.CLOSE): State.CLOSED,
    (State.FORESTALLED, Act.SERVE): State.DRAINING,
    (State.FORESTALLED, Act.SHUT_DOWN): State.FORESTALLED,
    (State.FORESTALLED, Act.CLOSE): State.CLOSED,
    (State.SERVING, Act.SHUT_DOWN): State.DRAINING,
    (State.SERVING, Act.END): State.STOPPED,
    (State.DRAINING, Act.SHUT_DOWN): State.DRAINING,
    (State.DRAINING, Act.END): State.STOPPED,
    (State.STOPPED, Act.SERVE): State.SERVING,
    (State.STOPPED, Act.SHUT_DOWN): State.STOPPED,
    (State.STOPPED, Act.CLOSE): State.CLOSED,
    (State.CLOSED, Act.SHUT_DOWN): State.CLOSED,
    (State.CLOSED, Act.CLOSE): State.CLOSED,
}

RUNNING: Final = frozenset({State.SERVING, State.DRAINING})


def after(state: State, act: Act) -> State:
    """The state that follows.

    Raises:
      AlreadyServing: Serving a server that is being served.
      ServerClosed: Serving a server that was closed.
    """
    try:
        return _TABLE[state, act]
    except KeyError:
        pass
    if act is Act.SERVE and state in RUNNING:
        raise AlreadyServing(
            "the server is being served already: wait for that serve_forever() or "
            "handle_request() to return, or make a second server"
        )
    if act is Act.SERVE and state is State.CLOSED:
        raise ServerClosed("the server was closed by server_close(): make a new one to serve again")
    raise AssertionError(f"no way to {act.value} a server that is {state.value}")
