"""Names of ports, and the errors of name resolution with the system's words."""

from __future__ import annotations

import socket
from typing import Final

_PORTS: Final = {
    "ftp": 21,
    "ssh": 22,
    "telnet": 23,
    "smtp": 25,
    "domain": 53,
    "http": 80,
    "pop3": 110,
    "ntp": 123,
    "imap": 143,
    "ldap": 389,
    "https": 443,
    "submission": 587,
    "imaps": 993,
    "pop3s": 995,
}
"""The usual ones (IANA's registry), so that what a program does here does not hang on /etc/services."""

_ERRORS: Final = {
    "EAI_ADDRFAMILY": "Address family for hostname not supported",
    "EAI_AGAIN": "Temporary failure in name resolution",
    "EAI_BADFLAGS": "Bad value for ai_flags",
    "EAI_FAIL": "Non-recoverable failure in name resolution",
    "EAI_FAMILY": "ai_family not supported",
    "EAI_MEMORY": "Memory allocation failure",
    "EAI_NODATA": "No address associated with hostname",
    "EAI_NONAME": "Name or service not known",
    "EAI_SERVICE": "Servname not supported for ai_socktype",
    "EAI_SOCKTYPE": "ai_socktype not supported",
    "EAI_SYSTEM": "System error",
}
"""As glibc says them. Systems lack some."""

ERROR_NAMES: Final[dict[int, str]] = {
    getattr(socket, name): name for name in _ERRORS if hasattr(socket, name)
}
"""The names of the errors there are here, by number."""


def gaierror(number: int) -> socket.gaierror:
    """The error, made, for the caller to raise."""
    return socket.gaierror(number, _ERRORS[ERROR_NAMES[number]])


def port_of(port: bytes | str | int | None, *, numeric: bool = False) -> int:
    """A port number, for a number or the name of a service.

    Args:
      port: The number or name.
      numeric: Whether names are not allowed: ``AI_NUMERICSERV``.

    Raises:
      gaierror: No such service.
    """
    if port is None or isinstance(port, int):
        return port or 0
    name = port.decode(errors="replace") if isinstance(port, bytes) else port
    if name.isascii() and name.isdigit():
        return int(name)
    if numeric:
        raise gaierror(socket.EAI_NONAME)
    number = _PORTS.get(name.lower())
    if number is None:
        raise gaierror(socket.EAI_SERVICE)
    return number


def service_at(port: int, flags: int) -> str:
    """The name of a port, or the number as text where it has none or none is wanted."""
    if not flags & socket.NI_NUMERICSERV:
        for name, number in _PORTS.items():
            if number == port:
                return name
    return str(port)
