"""A certificate for the host ``server``, made once: its key protects nothing.

RSA, whose signatures are all of one length: an ECDSA signature is a byte or two longer now and then, which
depends on what no seed reaches, and so the packets of a run would differ.
"""

from __future__ import annotations

import functools
import ssl
from pathlib import Path

FILE = Path(__file__).with_name("certificate.pem")
NAME = "server"
"""What the certificate is for."""


@functools.cache
def server_context() -> ssl.SSLContext:
    """A context for servers; not to be changed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FILE)
    return context


@functools.cache
def client_context() -> ssl.SSLContext:
    """A context for clients, which trusts nobody else; not to be changed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(FILE)
    return context
