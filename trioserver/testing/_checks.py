"""Checks of what a caller passes to a network: each names the argument and says what would be right."""

from __future__ import annotations

import inspect
import math
from typing import TypeGuard

from trioserver import ConfigError


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_seconds(name: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is a finite number of seconds, 0 or more."""
    if not _is_number(value) or not 0 <= value < math.inf:
        raise ConfigError(f"{name} must be a number of seconds, 0 or more, not {value!r}")


def check_probability(name: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is a probability."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise ConfigError(f"{name} must be a probability from 0 to 1, not {value!r}")


def check_rate(name: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is a number of bytes a second, or None for no bound."""
    if value is not None and (not _is_number(value) or not 0 < value < math.inf):
        raise ConfigError(
            f"{name} must be more than 0 bytes a second, or None for no bound, not {value!r}"
            + (": to let nothing through, use Network.partition" if value == 0 else "")
        )


def check_count(name: str, value: object, *, none: str | None = None) -> None:
    """Raise ConfigError unless ``value`` is a whole number, 0 or more; ``none`` says what None means."""
    if value is None and none is not None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        also = f", or None for {none}" if none is not None else ""
        raise ConfigError(f"{name} must be a whole number, 0 or more{also}, not {value!r}")


def check_flag(name: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False, not {value!r}")


def check_rule(rule: object) -> None:
    """Raise ConfigError unless ``rule`` can be called, and answers at once."""
    if not callable(rule) or inspect.iscoroutinefunction(rule):
        raise ConfigError(f"a rule must be a function of one packet, not async: not {rule!r}")
