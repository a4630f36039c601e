"""What handlers did and clients saw, written down by themselves: what the server says is compared with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Generator


class Entry:
    """One call of a handler.

    Attributes:
      number: Counts up.
      name: Which handler it was.
      client_address: Whose request.
      request_id: The request's; ``None`` where handlers are called in place.
      running: Whether the handler runs.
      error: What it raised; ``None`` while it runs and when it returned.
      children: Tasks that it has started and that run.
      heard: What it received.
      said: What it began to send.
      finish: Of a ``finish`` that takes less time than it has: "none", "begun" or "done".
    """

    def __init__(self, number: int, name: str, client_address: Any, request_id: int | None) -> None:
        self.number = number
        self.name = name
        self.client_address = client_address
        self.request_id = request_id
        self.running = True
        self.error: BaseException | None = None
        self.children = 0
        self.heard = bytearray()
        self.said = bytearray()
        self.finish = "none"

    def end(self, error: BaseException | None) -> None:
        """The handler has returned or raised."""
        self.running = False
        self.error = error

    def follow(self, steps: Generator[Any, Any, None]) -> Generator[Any, Any, None]:
        """Await a handler, and note how it ends."""
        try:
            yield from steps
        except BaseException as error:
            self.end(error)
            raise
        self.end(None)

    @property
    def how(self) -> str:
        """How it ended: "running", "returned", "cancelled", "failed" or "fatal"."""
        if self.running or self.error is None:
            return "running" if self.running else "returned"
        if isinstance(self.error, BaseExceptionGroup):
            rest = self.error.split(trio.Cancelled)[1]
            if rest is None:
                return "cancelled"
            return "failed" if rest.split(Exception)[1] is None else "fatal"
        if isinstance(self.error, trio.Cancelled):
            return "cancelled"
        return "failed" if isinstance(self.error, Exception) else "fatal"

    def __repr__(self) -> str:
        return f"<{self.name} {self.number} for request {self.request_id}: {self.how}>"


class Conversation:
    """One connection, or one socket for datagrams, as its client has it.

    Attributes:
      address: The client's.
      sent: What it began to send.
      received: What came.
      ended: Whether the end of the stream came, and neither an error nor the client's own impatience.
    """

    def __init__(self, address: Any) -> None:
        self.address = address
        self.sent = bytearray()
        self.received = bytearray()
        self.ended = False


class Journal:
    """All entries and conversations of a run."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.by_request: dict[int, Entry] = {}
        self.conversations: list[Conversation] = []

    def begin(self, name: str, client_address: Any, request_id: int | None) -> Entry:
        """A handler is called."""
        entry = Entry(len(self.entries) + 1, name, client_address, request_id)
        self.entries.append(entry)
        if request_id is not None:
            self.by_request[request_id] = entry
        return entry

    def converse(self, address: Any) -> Conversation:
        """A client has connected."""
        conversation = Conversation(address)
        self.conversations.append(conversation)
        return conversation

    def still_running(self) -> list[Entry]:
        """The handlers that run, or have a task that runs."""
        return [entry for entry in self.entries if entry.running or entry.children]
