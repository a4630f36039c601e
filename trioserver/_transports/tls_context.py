"""What a server checks of an SSL context; importing it does not import ``ssl``."""

from __future__ import annotations

from .._vocabulary.errors import ConfigError


def check_ssl_context(name: str, context: object, *, optional: bool = False) -> None:
    """Raise ConfigError unless ``context`` is one that a server can use; ``None`` may be one, too."""
    if context is None and optional:
        return
    import ssl

    if not isinstance(context, ssl.SSLContext):
        also = ", or None for no TLS" if optional else ""
        raise ConfigError(f"{name} must be an ssl.SSLContext{also}, not {context!r}")
    if context.protocol == ssl.PROTOCOL_TLS_CLIENT:
        raise ConfigError(
            f"{name} is a context for clients: make one for servers with "
            "ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), and load a certificate"
        )
