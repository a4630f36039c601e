"""The standard library's ``socketserver``, rebuilt on trio's structured concurrency.

Servers:   TCPServer, UnixStreamServer, whose base is StreamServer; UDPServer, UnixDatagramServer, whose base
           is DatagramServer; UDPSessionServer, with a task for each peer; BaseServer for what is no socket.
           ThreadingTCPServer and so on, made with ThreadingMixIn, serve synchronous handlers in threads,
           ForkingTCPServer and so on, made with ForkingMixIn, in processes.
Handlers:  StreamRequestHandler and DatagramRequestHandler with rfile and wfile, BaseRequestHandler, or an
           async function ``handler(request, client_address, server)``. CallbackRequestHandler, of plain
           functions that are called in place.
Requests:  RequestStream, and StreamReader and StreamWriter on it; Datagram with its DatagramSocket;
           DatagramSession for one peer. Endpoint and DatagramEndpoint are for simulated networks.
Processes: Workers, several processes that serve one address; WorkerProcess with its WorkerState,
           WorkersReport, and the events WorkersStarted, WorkerStarted, WorkerEnded, WorkerDelayed,
           WorkersStopped.
Looking:   ServerStatistics, DatagramsLost, ShutdownReport, Request with its RequestState, Outcome, Timeout,
           State, and the events ServerStarted, RequestAccepted, RequestEnded, AcceptPaused, AcceptResumed,
           ServerDraining, ServerStopped for an Observer.
Errors:    TrioServerError and below it ConfigError, LifecycleError (ServerClosed, AlreadyServing, WrongTask),
           TransportError (LimitExceeded, IncompleteRead, StreamTimeout, HandshakeError),
           HandlerProcessError, WorkerError; is_peers_doing tells what is no more than a client that
           misbehaves.

    async with trioserver.TCPServer(("127.0.0.1", 0), Handler).running(grace_period=5) as server:
        print(server.server_address)

``help(trioserver.TCPServer)`` and so on say more.
"""

# A map of the package. Everything is private but this face; each layer imports only those below it,
# and tests/test_layers.py sees to that.
#
#   L4  __main__.py, _cli/    the command line
#   L3  _handlers/            the classes that people subclass to serve a request
#       _servers/             the classes that accept requests
#       _workers/             several processes that serve one address
#   L2  _engine/              the nursery and its two scopes, the accept loop, a request's task, the registry
#   L1  _transports/          all that touches a socket: endpoints, streams, readers and writers, binding
#   L0  _vocabulary/          states, tables, options, events, errors: neither trio nor sockets

import os as _os
import sys as _sys

from ._engine.requests import Request as Request
from ._handlers.base import BaseRequestHandler as BaseRequestHandler
from ._handlers.callback import CallbackRequestHandler as CallbackRequestHandler
from ._handlers.datagram import DatagramRequestHandler as DatagramRequestHandler
from ._handlers.stream import StreamRequestHandler as StreamRequestHandler
from ._servers.base import BaseServer as BaseServer
from ._servers.base import ServerOptions as ServerOptions
from ._servers.datagram import DatagramServer as DatagramServer
from ._servers.datagram import DatagramServerOptions as DatagramServerOptions
from ._servers.hooks import is_peers_doing as is_peers_doing
from ._servers.sessions import UDPSessionServer as UDPSessionServer
from ._servers.sessions import UDPSessionServerOptions as UDPSessionServerOptions
from ._servers.stream import StreamServer as StreamServer
from ._servers.stream import StreamServerOptions as StreamServerOptions
from ._servers.tcp import TCPServer as TCPServer
from ._servers.tcp import TCPServerOptions as TCPServerOptions
from ._servers.threading_servers import ThreadingTCPServer as ThreadingTCPServer
from ._servers.threading_servers import ThreadingUDPServer as ThreadingUDPServer
from ._servers.threading_servers import ThreadingUnixDatagramServer as ThreadingUnixDatagramServer
from ._servers.threading_servers import ThreadingUnixStreamServer as ThreadingUnixStreamServer
from ._servers.threads import ThreadingMixIn as ThreadingMixIn
from ._servers.threads import ThreadingOptions as ThreadingOptions
from ._servers.udp import UDPServer as UDPServer
from ._servers.udp import UDPServerOptions as UDPServerOptions
from ._servers.unix import UnixStreamServer as UnixStreamServer
from ._servers.unix import UnixStreamServerOptions as UnixStreamServerOptions
from ._servers.unix_datagram import UnixDatagramServer as UnixDatagramServer
from ._servers.unix_datagram import UnixDatagramServerOptions as UnixDatagramServerOptions
from ._transports.addresses import format_address as format_address
from ._transports.blocking_datagrams import BlockingDatagramSocket as BlockingDatagramSocket
from ._transports.datagram_endpoint import DatagramEndpoint as DatagramEndpoint
from ._transports.datagram_losses import DatagramsLost as DatagramsLost
from ._transports.datagram_session import DatagramSession as DatagramSession
from ._transports.datagram_socket import Datagram as Datagram
from ._transports.datagram_socket import DatagramSocket as DatagramSocket
from ._transports.endpoint import Endpoint as Endpoint
from ._transports.open_unix import PeerCredentials as PeerCredentials
from ._transports.reader import StreamReader as StreamReader
from ._transports.stream import RequestStream as RequestStream
from ._transports.writer import StreamWriter as StreamWriter
from ._vocabulary.errors import AlreadyServing as AlreadyServing
from ._vocabulary.errors import ConfigError as ConfigError
from ._vocabulary.errors import HandlerProcessError as HandlerProcessError
from ._vocabulary.errors import HandshakeError as HandshakeError
from ._vocabulary.errors import IncompleteRead as IncompleteRead
from ._vocabulary.errors import LifecycleError as LifecycleError
from ._vocabulary.errors import LimitExceeded as LimitExceeded
from ._vocabulary.errors import ServerClosed as ServerClosed
from ._vocabulary.errors import StreamTimeout as StreamTimeout
from ._vocabulary.errors import TransportError as TransportError
from ._vocabulary.errors import TrioServerError as TrioServerError
from ._vocabulary.errors import WorkerError as WorkerError
from ._vocabulary.errors import WrongTask as WrongTask
from ._vocabulary.events import AcceptPaused as AcceptPaused
from ._vocabulary.events import AcceptResumed as AcceptResumed
from ._vocabulary.events import Observer as Observer
from ._vocabulary.events import RequestAccepted as RequestAccepted
from ._vocabulary.events import RequestEnded as RequestEnded
from ._vocabulary.events import ServerDraining as ServerDraining
from ._vocabulary.events import ServerEvent as ServerEvent
from ._vocabulary.events import ServerStarted as ServerStarted
from ._vocabulary.events import ServerStopped as ServerStopped
from ._vocabulary.lifecycle import State as State
from ._vocabulary.reports import Outcome as Outcome
from ._vocabulary.reports import RequestState as RequestState
from ._vocabulary.reports import ServerStatistics as ServerStatistics
from ._vocabulary.reports import ShutdownReport as ShutdownReport
from ._vocabulary.reports import Timeout as Timeout
from ._vocabulary.workers import WorkerDelayed as WorkerDelayed
from ._vocabulary.workers import WorkerEnded as WorkerEnded
from ._vocabulary.workers import WorkerProcess as WorkerProcess
from ._vocabulary.workers import WorkersReport as WorkersReport
from ._vocabulary.workers import WorkersStarted as WorkersStarted
from ._vocabulary.workers import WorkersStopped as WorkersStopped
from ._vocabulary.workers import WorkerStarted as WorkerStarted
from ._vocabulary.workers import WorkerState as WorkerState

if _sys.platform != "win32" and hasattr(_os, "fork"):
    from ._servers.processes import ForkingMixIn as ForkingMixIn
    from ._servers.processes import ForkingOptions as ForkingOptions
    from ._servers.processes import ForkingServerOptions as ForkingServerOptions
    from ._servers.processes import ForkingTCPServer as ForkingTCPServer
    from ._servers.processes import ForkingUDPServer as ForkingUDPServer
    from ._servers.processes import ForkingUnixDatagramServer as ForkingUnixDatagramServer
    from ._servers.processes import ForkingUnixStreamServer as ForkingUnixStreamServer
    from ._workers.workers import Workers as Workers
