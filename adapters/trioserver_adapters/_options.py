"""Checks of what a program sets: each names the attribute and says what would be right."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import trioserver

if TYPE_CHECKING:
    from collections.abc import Callable


def check_seconds(name: str, value: object, none: str | None = None) -> None:
    """Raise ConfigError unless it is a number of seconds, or None where ``none`` says what that means."""
    if value is None and none is not None:
        return
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    if not usable or (isinstance(value, int) and value > sys.float_info.max):
        also = f", or None for {none}" if none is not None else ""
        raise trioserver.ConfigError(f"{name} must be a number of seconds, at least 0{also}, not {value!r}")


def check_count(name: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is a whole number of at least 1, or None."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise trioserver.ConfigError(
            f"{name} must be a whole number, at least 1, or None for no limit, not {value!r}"
        )


_seconds_or_none = partial(check_seconds, none="no bound")

_CHECKS: Final[dict[str, Callable[[str, object], None]]] = {
    "grace_period": _seconds_or_none,
    "handshake_timeout": _seconds_or_none,
    "linger_timeout": check_seconds,
    "max_requests": check_count,
    "request_timeout": _seconds_or_none,
}
"""The options that the standard library's servers do not have. What those have is not looked at."""


def check_option(server: object, name: str, value: object) -> None:
    """Raise ConfigError for what a server's option can not be; other attributes are the program's own."""
    if name in _CHECKS and hasattr(type(server), name):
        _CHECKS[name](name, value)


def check_options(server: object) -> None:
    """The same for the class variables that a subclass has overridden."""
    for name in _CHECKS:
        check_option(server, name, getattr(server, name, None))
