"""The example ``chat``: broadcast, slow readers, goodbye."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from harness import receive_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.examples.conftest import Example, RunExample


class Guest:
    """A client of the chat room."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._seen = b""

    async def say(self, text: str) -> None:
        """Send a line."""
        await self.stream.send_all(f"{text}\n".encode())

    async def hear(self) -> str:
        """The next line; ``""`` when the room has closed the connection."""
        while b"\n" not in self._seen:
            chunk = await self.stream.receive_some()
            if not chunk:
                return ""
            self._seen += chunk
        line, self._seen = self._seen.split(b"\n", 1)
        return line.decode()


@asynccontextmanager
async def guest(example: Example, name: str) -> AsyncIterator[Guest]:
    """Enter the room under a name."""
    async with await example.connect() as stream:
        guest = Guest(stream)
        await guest.say(name)
        assert await guest.hear() == f"Your name? * {name} is here"
        yield guest


async def test_chat_when_somebody_speaks_then_everybody_hears_it(run_example: RunExample) -> None:
    """Lines go to all members, with the name of who said them; so do arrivals and departures."""
    async with run_example("chat") as example, guest(example, "Ann") as ann:
        async with guest(example, "Bob") as bob:
            assert await ann.hear() == "* Bob is here"
            await bob.say("hello")
            assert [await ann.hear(), await bob.hear()] == ["Bob: hello", "Bob: hello"]
        assert await ann.hear() == "* Bob has left"


async def test_chat_when_interrupted_then_everybody_is_told_goodbye(run_example: RunExample) -> None:
    """The server drains: each member hears what was said before, then goodbye, then the end."""
    async with run_example("chat") as example, guest(example, "Ann") as ann, guest(example, "Bob") as bob:
        await ann.say("nice here")
        assert await bob.hear() == "Ann: nice here"
        example.interrupt()
        assert (await receive_all(bob.stream)).endswith(b"* goodbye\n")
        assert (await receive_all(ann.stream)).endswith(b"* goodbye\n")


async def test_chat_when_somebody_does_not_read_then_is_dropped_and_the_others_hear_all(
    run_example: RunExample,
) -> None:
    """Who is 100 lines behind is dropped; the others get every line, and get them meanwhile."""
    text = "x" * 60_000
    async with run_example("chat") as example, guest(example, "Ann") as ann:
        async with guest(example, "Slow"):
            assert await ann.hear() == "* Slow is here"
            count = 0
            with trio.fail_after(10):
                while True:
                    await ann.say(text)
                    count += 1
                    heard = await ann.hear()
                    if heard == "* Slow has left":
                        break
                    assert heard == f"Ann: {text}"
            assert await ann.hear() == f"Ann: {text}"
            assert count > 100
