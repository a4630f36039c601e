"""Sockets that have ports: what TCP and UDP have in common."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

from ._addresses import ANY4, ANY6, error, to_socket
from ._cores import Core
from ._ports import Binding
from ._routes import check_local

if TYPE_CHECKING:
    from ._ports import PortTable


class IPCore(Core):
    """A socket that has a port.

    Attributes:
      binding: The port; None while it has none.
    """

    __slots__ = ("binding",)

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.binding: Binding | None = None

    @property
    def v6_only(self) -> bool:
        """``IPV6_V6ONLY``."""
        return self.options.flag(socket.IPPROTO_IPV6, "IPV6_V6ONLY")

    def ports(self) -> PortTable:
        """The ports of the protocol."""
        raise NotImplementedError

    def any_address(self) -> str:
        """The wildcard address."""
        return ANY6 if self.family == socket.AF_INET6 else ANY4

    def name(self) -> Any:
        """As ``getsockname``."""
        address = (self.any_address(), 0) if self.binding is None else self.binding.address
        return to_socket(self.family, address)

    def new_binding(self, host: str, port: int) -> Binding:
        """What binds this socket to a port, once the table of ports has taken it."""
        options = self.options
        return Binding(
            self,
            host,
            port,
            dual=self.family == socket.AF_INET6 and not self.v6_only,
            reuse_address=options.flag(socket.SOL_SOCKET, "SO_REUSEADDR"),
            reuse_port=options.flag(socket.SOL_SOCKET, "SO_REUSEPORT"),
        )

    def bind(self, address: Any) -> None:
        """Bind to a numeric address."""
        if self.binding is not None:
            raise error(errno.EINVAL)
        foreign = self.options.flag(socket.IPPROTO_IP, "IP_FREEBIND")
        host, port = check_local(self.host, self.family, address, v6_only=self.v6_only, foreign=foreign)
        binding = self.new_binding(host, port)
        self.ports().bind(binding)
        self.binding = binding

    def unbind(self) -> None:
        """Take a bind back."""
        if self.binding is not None:
            self.ports().release(self.binding)
            self.binding = None

    def is_bound(self) -> bool:
        """Whether it has a port."""
        return self.binding is not None

    def options_changed(self) -> None:
        """The rules for sharing a port ask for the options as they are, not as they were."""
        if self.binding is not None:
            self.binding.reuse_address = self.options.flag(socket.SOL_SOCKET, "SO_REUSEADDR")
            self.binding.reuse_port = self.options.flag(socket.SOL_SOCKET, "SO_REUSEPORT")
