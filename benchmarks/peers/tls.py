"""The certificate that every server of mode ``tls`` shows: made at run time, by the same library for all."""

from __future__ import annotations

import importlib
import ssl
from typing import Any


def server_context() -> ssl.SSLContext:
    """A context as the standard library makes it, with a fresh certificate for loopback."""
    # Looked up by its name: its types must not be needed to check ours.
    trustme: Any = importlib.import_module("trustme")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context
