"""What must be true when all is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
import trio.testing

import trioserver

from .stream_handlers import ECHOING

if TYPE_CHECKING:
    from .journal import Conversation, Entry
    from .world import World


async def check_end(world: World) -> None:
    """Nothing of the server is left, and all was counted (P1, P2, P3)."""
    ledger, server = world.ledger, world.server
    await server.server_close()
    world.check_nothing_runs("the server is closed")
    for host in world.network.hosts.values():
        left = list(host.sockets.values())
        ledger.check(not left, "P1", f"all is over, and {host.name} has sockets: {left}")
    await trio.testing.wait_all_tasks_blocked()
    now = server.statistics()
    counts = {outcome: 0 for outcome in trioserver.Outcome}
    for event in ledger.ended.values():
        counts[event.outcome] += 1
    for outcome, count in counts.items():
        said = getattr(now, outcome.value)
        ledger.check(said == count, "P3", f"{said} {outcome.value}, and {count} events say so")
    same = now.accepted == ledger.accepting.taken == len(ledger.ended)
    ledger.check(same, "P2", f"{ledger.accepting.taken} taken, {len(ledger.ended)} ended: {now}")
    errors = ledger.accepting.errors
    ledger.check(now.accept_errors >= errors, "P7", f"{errors} errors of accept: {now}")


def check_conversations(world: World) -> None:
    """What came is what was sent, from its beginning, and all of it where nothing went wrong."""
    if not world.plan.streams:
        return  # each datagram was looked at when it came
    by_address: dict[Any, tuple[list[Entry], list[Conversation]]] = {}
    for entry in world.journal.entries:
        by_address.setdefault(entry.client_address, ([], []))[0].append(entry)
    for conversation in world.journal.conversations:
        by_address.setdefault(conversation.address, ([], []))[1].append(conversation)
    for address, (entries, conversations) in by_address.items():
        for entry in entries:
            # A client that crashed may have had the same port before; who gave up is not written down.
            heard = any(one.sent.startswith(entry.heard) for one in conversations) or not entry.heard
            assert heard, f"integrity: {address} did not send what {entry} heard; {world.plan}"
        for one in conversations:
            said = any(entry.said.startswith(one.received) for entry in entries) or not one.received
            assert said, f"integrity: {address} got what nobody sent; {world.plan}"
        if len(entries) == len(conversations) == 1:
            _check_complete(world, entries[0], conversations[0])


def _check_complete(world: World, entry: Entry, conversation: Conversation) -> None:
    """A request that has finished, and whose client saw the end of the stream, lost nothing."""
    assert entry.request_id is not None
    event = world.ledger.ended[entry.request_id]
    if event.outcome is not trioserver.Outcome.FINISHED or not conversation.ended:
        return
    sizes = f"{len(conversation.received)} of {len(entry.said)} bytes"
    assert conversation.received == entry.said, f"integrity: {sizes} came of {entry}; {world.plan}"
    if entry.name in ECHOING:
        heard = f"{len(entry.heard)} of {len(conversation.sent)} bytes"
        assert conversation.sent == entry.heard == entry.said, f"integrity: {entry} heard {heard}"
