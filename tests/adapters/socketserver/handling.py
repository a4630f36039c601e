"""What the tests of handlers share: a connection without a server, and handlers made of a few attributes."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from .kit import SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ends(NamedTuple):
    """Both ends of a connection."""

    server: socket.socket
    client: socket.socket


@contextlib.contextmanager
def connection() -> Iterator[Ends]:
    """A connection whose ends time out, and are closed after the block."""
    ends = Ends(*socket.socketpair())
    with ends.server, ends.client:
        for end in ends:
            end.settimeout(SECONDS)
        yield ends


def handled(cls: Any, request: Any, **namespace: Any) -> Any:
    """A handler that has done its work: of a subclass of ``cls`` with these attributes."""
    return type("Handler", (cls,), namespace)(request, "peer", "server")
