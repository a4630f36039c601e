"""The names of Unix sockets on one host: paths that are on no file system, and abstract names."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ._addresses import error
from ._cores import Core

if TYPE_CHECKING:
    from ._hosts import Host

UnixAddress: TypeAlias = str | bytes
"""A path; abstract names are bytes that begin with a NUL, and ``""`` is for who has no name."""

_MAX_PATH_BYTES: Final = 107
"""What ``struct sockaddr_un`` has room for, see unix(7)."""


def normalize(address: Any) -> UnixAddress:
    """The address as ``getsockname`` gives it.

    Raises:
      OSError: It is too long.
    """
    packed = os.fsencode(address)
    if len(packed) > _MAX_PATH_BYTES:
        raise OSError("AF_UNIX path too long")
    return packed if packed[:1] == b"\0" else os.fsdecode(packed)


def key_of(name: UnixAddress) -> UnixAddress:
    """The same for all ways to write one path."""
    return name if isinstance(name, bytes) else os.path.abspath(name)


class NamedCore(Core):
    """A Unix socket, as far as it has a name."""

    __slots__ = ("_key", "_name")

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._name: UnixAddress = ""
        self._key: UnixAddress = ""

    def name(self) -> UnixAddress:
        """As ``getsockname``."""
        return self._name

    def is_bound(self) -> bool:
        """Whether it has a name."""
        return bool(self._name)

    def bind(self, address: Any) -> None:
        """Take a name."""
        if self._name:
            raise error(errno.EINVAL)
        names = self._names(self.host)
        name = normalize(address) or self._next_name(names)
        key = key_of(name)
        if key in names:
            raise error(errno.EADDRINUSE)
        names[key] = self
        self._name, self._key = name, key

    def _next_name(self, names: dict[Any, NamedCore]) -> bytes:
        """An abstract name of five digits: the "autobind" of unix(7)."""
        number = 0
        while (name := b"\0%05x" % number) in names:
            number += 1
        return name

    def unbind(self) -> None:
        """Give the name back. A real socket's file would stay; here nothing is stale."""
        names = self._names(self.host)
        if self._key and names.get(self._key) is self:
            del names[self._key]
        self._key = ""

    def _names(self, host: Host) -> dict[Any, NamedCore]:
        return host.unix

    def find(self, address: Any) -> NamedCore:
        """The socket of that name and this socket's type.

        Raises:
          OSError: ``ENOENT``, or ``ECONNREFUSED`` for an abstract name; ``EPROTOTYPE`` for another type.
        """
        name = normalize(address)
        found = self._names(self.host).get(key_of(name)) if name else None
        if found is None:
            if not name:
                raise error(errno.EINVAL)
            raise error(errno.ECONNREFUSED if isinstance(name, bytes) else errno.ENOENT)
        if found.type != self.type:
            raise error(errno.EPROTOTYPE)
        return found
