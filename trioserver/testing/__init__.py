"""A seeded network in memory under trio's mock clock, to test servers and clients on.

    async def main(network):
        server = trioserver.TCPServer(("", 80), Handler)
        async with trio.open_nursery() as nursery:
            with network.host("server"):
                await nursery.start(server.serve_forever)
            with network.host("client"):
                stream = await trio.open_tcp_stream("server", 80)
            network.partition("client", "server")
            ...

    with Network(seed=1) as network:  # in a running trio program
        await main(network)

Network:   Network, its hosts: Host, its names: DNS, its TCP connections: Connection.
Faults:    Methods of Network (link, partition, hold, rule ...) and Host (crash, restart, max_fds,
           read_rate), with Latency, uniform, exponential and normal; a Rule gets a Packet and returns a
           Verdict: Pass, Drop or Deliver.
Tests:     Client, a connection that says what came instead; connect(server), a MemoryStream straight into a
           handler; with pytest the fixtures ``network`` and ``serve`` (see `Serve`) of ``pytest_plugin``.
Seeds:     run(main, seed=1) gives a RunResult; explore(main) runs many seeds, up to one with SeedFailed;
           check_determinism(main, seed=1) runs twice, NotDeterministic says where they differ; log_of(error),
           Deadlock; seeds_task_order; and ``python -m trioserver.testing replay module:main --seed 1``.
Looking:   EventLog, with an Event for all that happens; it draws itself: to_svg(), to_mermaid().

``help(trioserver.testing.Network)`` and so on say more.
"""

# A map of the package; each imports only those further down, and trioserver's public face.
#
#   __main__.py, _command_line.py   replay, explore, check
#   _explore.py, _determinism.py    many seeds, or one twice; on _processes.py, _worker.py, _attempts.py and
#                              _targets.py
#   _run.py, _deadlock.py      one run; _seeding.py has all that is private to trio
#   _svg*.py, _mermaid.py      drawings of a log; _scene*.py is what they show, _time_axis.py where
#   _network.py                the network that a test enters; _faults.py and _fabric.py are its bases
#   _dns.py, _resolver.py      names
#   pytest_plugin.py           the fixtures for pytest, the one module that needs it; _served.py, _test_run.py
#   _client.py, _connect.py    for those who write tests; on _memory.py, _incoming.py, _differences.py
#   _watch.py                  a server's events in the log
#   _sockets.py ...            sockets, on top of a Fabric
#   _faults.py                 link, partition, hold, rule
#   _fabric.py                 what sockets see of a network
#   _wire.py, _links.py        what becomes of packets
#   _schedule.py               when they arrive: the one task of a network
#   _packets.py                packets and verdicts
#   _hosts.py, _programs.py    hosts and what runs on them
#   _log.py, _events.py        the event log; _packet_events.py is what it has of packets
#   _latency.py, _checks.py, _services.py

from ._client import Client as Client
from ._connect import connect as connect
from ._deadlock import Deadlock as Deadlock
from ._determinism import NotDeterministic as NotDeterministic
from ._determinism import check_determinism as check_determinism
from ._dns import DNS as DNS
from ._events import Event as Event
from ._explore import SeedFailed as SeedFailed
from ._explore import explore as explore
from ._fabric import Connection as Connection
from ._hosts import Host as Host
from ._latency import Latency as Latency
from ._latency import exponential as exponential
from ._latency import normal as normal
from ._latency import uniform as uniform
from ._log import EventLog as EventLog
from ._memory_stream import MemoryStream as MemoryStream
from ._network import Network as Network
from ._packets import Deliver as Deliver
from ._packets import Drop as Drop
from ._packets import Packet as Packet
from ._packets import Pass as Pass
from ._packets import Rule as Rule
from ._packets import Verdict as Verdict
from ._run import RunResult as RunResult
from ._run import log_of as log_of
from ._run import run as run
from ._seeding import seeds_task_order as seeds_task_order
from ._served import Serve as Serve
