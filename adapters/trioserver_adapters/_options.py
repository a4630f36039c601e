"""Checks of what a program sets: each names the attribute and says what would be right."""

from __future__ import annotations

import sys

import trioserver


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
