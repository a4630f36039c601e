"""Binding Unix sockets: stale files, live ones, modes, abstract names."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import trio

from .._vocabulary.errors import ConfigError
from .datagram_endpoint import open_datagram_endpoint
from .endpoint import has_custom_factory, open_endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from .datagram_endpoint import DatagramEndpoint
    from .endpoint import ListeningEndpoint

    EndpointT = TypeVar("EndpointT", ListeningEndpoint, DatagramEndpoint)

_LOCK_TRIES: Final = 100
_LOCK_PAUSE: Final = 0.01


class SocketFile:
    """The file of a bound Unix socket, known by its inode, so that only it is ever removed."""

    __slots__ = ("inode", "path")

    def __init__(self, path: str | bytes) -> None:
        self.path = os.path.abspath(path)  # the process may change its directory meanwhile, a daemon does
        self.inode = self._look()

    def _look(self) -> tuple[int, int] | None:
        try:
            found = os.lstat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def remove(self) -> None:
        """Remove the file, unless another has taken its place."""
        if self.inode is not None and self._look() == self.inode:
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def check_path(path: Any) -> str | bytes:
    """The path as ``bind`` takes it; an abstract name begins with a NUL."""
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, (str, bytes)) or not path:
        raise ConfigError(f"server_address must be the path of the socket, not {path!r}")
    if is_abstract(path) and sys.platform != "linux":
        raise ConfigError(f"server_address: abstract names such as {path!r} exist on Linux only")
    return path


def is_abstract(path: str | bytes) -> bool:
    """Whether it is a name in Linux's abstract namespace, which has no file."""
    return path[:1] in ("\0", b"\0")


async def open_unix_endpoint(
    path: str | bytes, *, kind: int, mode: int | None, backlog: int
) -> tuple[ListeningEndpoint, SocketFile | None]:
    """Bind and listen.

    It listens at once, and not only when the server is activated, because a socket that is bound and does
    not listen refuses connections, just as a stale one does: the next server to come would remove its file.

    A file that a server left behind is told from one in use by connecting to it: only one that refuses is
    removed. Servers that start at the same time do this one after the other, under a lock on the directory.

    On a network that is not the kernel's, paths are names there: no file is looked at or made, and ``mode``
    means nothing.

    Raises:
      OSError: ``EADDRINUSE`` when another server listens there, or there is a file that is no socket.
    """

    def make() -> ListeningEndpoint:
        return open_endpoint(socket.AF_UNIX, kind)

    def listen(endpoint: ListeningEndpoint) -> None:
        endpoint.listen(backlog)

    return await _open_at(path, kind, mode, make, listen)


async def open_unix_datagram_endpoint(
    path: str | bytes, *, kind: int, mode: int | None
) -> tuple[DatagramEndpoint, SocketFile | None]:
    """The same for datagrams, where to be bound is to be in use. ``kind`` is that of the socket."""

    def make() -> DatagramEndpoint:
        return open_datagram_endpoint(socket.AF_UNIX, kind)

    def listen(_: DatagramEndpoint) -> None:
        """Datagram sockets do not."""

    return await _open_at(path, kind, mode, make, listen)


def _bind(endpoint: ListeningEndpoint | DatagramEndpoint, path: str | bytes) -> None:
    try:
        endpoint.bind(path)
    except OSError as error:
        error.add_note(f"while binding {path!r}")
        raise


async def _open_at(
    path: str | bytes,
    kind: int,
    mode: int | None,
    make: Callable[[], EndpointT],
    listen: Callable[[EndpointT], None],
) -> tuple[EndpointT, SocketFile | None]:
    if is_abstract(path) or has_custom_factory():  # there is no file: not in the kernel's file system
        endpoint = make()
        try:
            _bind(endpoint, path)
            listen(endpoint)
        except BaseException:
            endpoint.close()
            raise
        return endpoint, None
    async with _locked_directory(path):
        _remove_stale(path, kind)
        endpoint = make()
        try:
            with _creation_mode(endpoint.socket, mode):
                _bind(endpoint, path)
            file = SocketFile(path)
            try:
                if mode is not None:
                    os.chmod(path, mode)
                listen(endpoint)
            except BaseException:
                file.remove()
                raise
        except BaseException:
            endpoint.close()
            raise
    return endpoint, file


@contextlib.contextmanager
def _creation_mode(sock: Any, mode: int | None) -> Generator[None]:
    """On Linux, let the file be created with no more permissions than ``mode`` has.

    bind(2) gives the file the socket inode's permissions less the umask, so that there is no moment at which
    it is more open than asked for. Elsewhere ``fchmod`` refuses sockets and the chmod that follows has to do.
    """
    if mode is not None:
        with contextlib.suppress(OSError):
            os.fchmod(sock.fileno(), mode)
    yield


def _remove_stale(path: str | bytes, kind: int) -> None:
    """Remove the socket file at ``path`` if nobody listens; raise if somebody does."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EADDRINUSE, "there is a file, and it is not a socket", path)
    # A socket of another type: so a live server answers EPROTOTYPE, and sees no connection.
    other = socket.SOCK_DGRAM if kind == socket.SOCK_STREAM else socket.SOCK_STREAM
    with socket.socket(socket.AF_UNIX, other) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            pass  # nobody has it bound: a server left it behind
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno == errno.EPROTOTYPE:
                raise OSError(errno.EADDRINUSE, "another server uses the socket file", path) from None
            raise OSError(
                errno.EADDRINUSE,
                f"another server uses the socket file, or it can not be probed ({error})",
                path,
            ) from error
        else:
            raise OSError(errno.EADDRINUSE, "another server uses the socket file", path)
    file = SocketFile(path)
    if file.inode == (found.st_dev, found.st_ino):
        file.remove()


@contextlib.asynccontextmanager
async def _locked_directory(path: str | bytes) -> AsyncGenerator[None]:
    """Hold an advisory lock on the directory of ``path``, where it can be opened."""
    import fcntl

    try:
        directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    except OSError:
        yield  # no permission to read it: do without; bind will say what is wrong, if anything is
        return
    try:
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await trio.sleep(_LOCK_PAUSE)
            except OSError:
                break  # a file system without locks
        yield
    finally:
        os.close(directory)


class PeerCredentials(NamedTuple):
    """Who is at the other end of a Unix socket, as it was when it connected."""

    pid: int
    uid: int
    gid: int


def peer_credentials(sock: Any) -> PeerCredentials:
    """The peer's process, user and group: ``SO_PEERCRED``, see unix(7).

    Raises:
      OSError: ``ENOTSUP`` on platforms other than Linux, and for sockets that are not Unix sockets.
    """
    if sys.platform != "linux" or sock.family != socket.AF_UNIX:
        raise OSError(errno.ENOTSUP, "peer credentials: only for Unix sockets, and only on Linux")
    layout = struct.Struct("3i")
    return PeerCredentials(
        *layout.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size))
    )
