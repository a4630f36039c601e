"""`OwnsSocketFile`: what servers on Unix sockets have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._vocabulary.errors import ConfigError
from .._vocabulary.options import check_count
from .hooks import RequestT
from .sockets import GroupT, SocketServer

if TYPE_CHECKING:
    from .._transports.open_unix import SocketFile


class OwnsSocketFile(SocketServer[RequestT, GroupT]):
    """The file of a Unix socket: its permissions, and its end."""

    mode: int | None = None
    """The permissions of the socket file, ``0o600`` for the owner alone; ``None`` leaves them to the umask.

    Who may write to the file may connect, or send. On Linux the file never has more permissions than these,
    not even for a moment.
    """

    _file: SocketFile | None = None

    def _check_options(self) -> None:
        super()._check_options()
        check_count("mode", self.mode, least=0, none="what the umask leaves")
        if self.mode is not None and self.mode > 0o777:
            raise ConfigError(f"mode must be permissions such as 0o600, or None, not {self.mode!r}")

    def _release(self) -> None:
        # The file first: once the socket is closed, another server may take its place. And for datagrams
        # before the drain, to which the socket stays: clients see at once that nobody is there.
        if self._file is not None:
            self._file.remove()
            self._file = None
        super()._release()
