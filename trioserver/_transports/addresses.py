"""Addresses as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .endpoint import Address


def format_address(address: Address) -> str:
    """An address for a log line: ``127.0.0.1:80``, ``[::1]:80``, a path, ``@name`` for abstract names."""
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    if isinstance(address, (bytes, str)):
        text = address.decode(errors="backslashreplace") if isinstance(address, bytes) else address
        return "@" + text[1:] if text.startswith("\0") else text or "an unnamed socket"
    return str(address)
