"""The standard library's ``socketserver``, rebuilt on trio's structured concurrency.

Servers:   TCPServer, UnixStreamServer, whose base is StreamServer; BaseServer for what is not a socket.
Handlers:  StreamRequestHandler with rfile and wfile, BaseRequestHandler, or an async function
           ``handler(request, client_address, server)``.
Streams:   RequestStream is a request, StreamReader its rfile, StreamWriter its wfile.
Looking:   ServerStatistics, ShutdownReport, Request with its RequestState, Outcome, Timeout, State, and the events
           ServerStarted, RequestAccepted, RequestEnded, AcceptPaused, AcceptResumed, ServerDraining,
           ServerStopped for an Observer.
Errors:    TrioServerError and below it ConfigError, LifecycleError (ServerClosed, AlreadyServing, WrongTask),
           TransportError (LimitExceeded, IncompleteRead, StreamTimeout, HandshakeError),
           HandlerProcessError.

    async with trioserver.TCPServer(("127.0.0.1", 0), Handler).running(grace_period=5) as server:
        print(server.server_address)

``help(trioserver.TCPServer)`` and so on say more.
"""

# A map of the package. Everything is private but this face; each layer imports only those below it,
# and tests/test_layers.py sees to that.
#
#   L4  __main__.py, _cli.py  the command line
#   L3  _handlers/            the classes that people subclass to serve a request
#       _servers/             the classes that accept requests
#   L2  _engine/              the nursery and its two scopes, the accept loop, a request's task, the registry
#   L1  _transports/          all that touches a socket: endpoints, streams, readers and writers, binding
#   L0  _vocabulary/          states, tables, options, events, errors: neither trio nor sockets

from ._engine.requests import Request as Request
from ._handlers.base import BaseRequestHandler as BaseRequestHandler
from ._handlers.stream import StreamRequestHandler as StreamRequestHandler
from ._servers.base import BaseServer as BaseServer
from ._servers.base import ServerOptions as ServerOptions
from ._servers.stream import StreamServer as StreamServer
from ._servers.stream import StreamServerOptions as StreamServerOptions
from ._servers.tcp import TCPServer as TCPServer
from ._servers.tcp import TCPServerOptions as TCPServerOptions
from ._servers.unix import UnixStreamServer as UnixStreamServer
from ._servers.unix import UnixStreamServerOptions as UnixStreamServerOptions
from ._transports.addresses import format_address as format_address
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
