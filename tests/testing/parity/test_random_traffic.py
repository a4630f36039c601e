"""Traffic with chance in it: whatever is cut, cancelled or late, the bytes are the same."""

from __future__ import annotations

import random
import socket

import pytest
import trio

from .kit import receive_all
from .worlds import Socket, World, parity


@pytest.mark.parametrize("seed", range(3))
@parity
async def test_send_when_cancelled_at_random_then_no_byte_is_lost_or_doubled(world: World, seed: int) -> None:
    """What a cancelled call has not returned, it has not sent."""
    chance = random.Random(seed)
    client, server = await world.pair()
    for sock in [client, server]:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    sent, received = bytearray(), bytearray()

    async def send() -> None:
        while len(sent) < 300_000:
            chunk = chance.randbytes(chance.randrange(1, 20_000))
            with trio.move_on_after(chance.choice([0, world.moment / 50, 1])):
                count = await client.send(chunk)
                sent.extend(chunk[:count])
        client.shutdown(socket.SHUT_WR)

    async def receive() -> None:
        while True:
            with trio.move_on_after(chance.choice([0, world.moment / 50, 1])):
                chunk = await server.recv(chance.randrange(1, 20_000))
                received.extend(chunk)
                if not chunk:
                    return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        nursery.start_soon(receive)
    assert received == sent


@parity
async def test_accept_when_cancelled_at_random_then_no_connection_is_lost(world: World) -> None:
    """Each is served once."""
    chance = random.Random(1)
    listener = await world.listener(backlog=100)
    served: list[object] = []

    async def accept() -> None:
        while len(served) < 50:
            with trio.move_on_after(chance.choice([0, world.moment / 50, 1])):
                server, address = await listener.accept()
                world.keep(server)
                served.append(address)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        names = [(await world.connect(listener)).getsockname() for _ in range(50)]
    assert served == names


@parity
async def test_connections_when_there_are_many_then_none_hears_another(world: World) -> None:
    """Each gets back what it has sent, in pieces of any size."""
    chance = random.Random(2)
    listener = await world.listener(backlog=100)

    async def echo(sock: Socket) -> None:
        while data := await sock.recv(chance.randrange(1, 3000)):
            while data:
                data = data[await sock.send(data) :]
        sock.shutdown(socket.SHUT_WR)

    async def ask() -> None:
        client = await world.connect(listener)
        data = chance.randbytes(chance.randrange(1, 30_000))

        async def send() -> None:
            rest = data
            while rest:
                rest = rest[await client.send(rest[: chance.randrange(1, 5000)]) :]
            client.shutdown(socket.SHUT_WR)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            assert await receive_all(client) == data

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(ask)
        for _ in range(30):
            nursery.start_soon(echo, await world.accept(listener))
