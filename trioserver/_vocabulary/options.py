"""Checks of what a caller passes: each names the argument and says what would be right."""

from __future__ import annotations

from .errors import ConfigError


def check_seconds(name: str, value: object, *, none: str | None = None) -> None:
    """Raise ConfigError unless ``value`` is a number of seconds that can be waited for.

    ``none`` says what ``None`` means for this option, where it is allowed. ``0`` never means "no limit".
    """
    if value is None and none is not None:
        return
    also = f", or None for {none}" if none is not None else ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{name} must be a number of seconds{also}, not {value!r}")
    try:
        usable = float(value) >= 0  # which NaN is not
    except OverflowError:
        usable = False
    if not usable:
        raise ConfigError(f"{name} must be at least 0 seconds{also}, not {value!r}")


def check_count(name: str, value: object, *, least: int = 1, none: str | None = None) -> None:
    """Raise ConfigError unless ``value`` is a whole number of at least ``least``."""
    if value is None and none is not None:
        return
    also = f", or None for {none}" if none is not None else ""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name} must be a whole number{also}, not {value!r}")
    if value < least:
        raise ConfigError(f"{name} must be at least {least}{also}, not {value!r}")


def check_flag(name: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is true or false, 1 or 0."""
    if not isinstance(value, int) or value not in (0, 1):
        raise ConfigError(f"{name} must be True or False, not {value!r}")
