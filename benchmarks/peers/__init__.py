"""The servers that are measured: ``python -m benchmarks.peers NAME PORT MODE`` from the checkout's root.

All of them do the same. In mode ``line`` they send each line back by itself, with one write, and in ``tls``
the same through TLS; in ``raw`` they send back what came. In the modes ``udp`` and ``udptask`` those that
speak UDP send each datagram back; ours in place, and in a task of its own. In ``ping`` they answer the line
``PING`` with ``+PONG``, as redis does; in ``work`` a line costs some work. Each is written as its library's
documentation would have it, not tuned for the benchmark. The protocol with the harness:

1. once the server listens it prints ``READY <port>`` (PORT may be 0 for any free one);
2. on SIGTERM it closes every connection, as its library does when it stops at once;
3. when nothing of it runs any more it prints ``SHUTDOWN <milliseconds>``, and exits.

A new one is one function with ``@peer``. Its imports belong inside: the libraries of the others need not be
installed, and their memory and import hooks must not be in the process that is measured. For the same reason
nothing here imports anything of the harness.

- ``registry``: the list, and what passes between a server and the harness.
- ``stdlib``: ``socketserver``, the standard library's and the drop-in.
- ``tasks``: trio and anyio.
- ``streams``, ``protocols``: asyncio and uvloop, by their two interfaces.
- ``others``: gevent, redis.
- ``bare``: an epoll loop without a library.
- ``ours``, ``workers``: trioserver, in one process and in several.
"""

from benchmarks.peers import bare, others, ours, protocols, stdlib, streams, tasks, workers
from benchmarks.peers.registry import PEERS

__all__ = ["PEERS", "bare", "others", "ours", "protocols", "stdlib", "streams", "tasks", "workers"]
