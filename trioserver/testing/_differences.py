"""What was expected and what came, side by side, for the message of a failing test."""

from __future__ import annotations

from typing import Final

_BEFORE: Final = 40
_AFTER: Final = 60
"""Bytes that are shown before and after the first difference: two lines of a terminal, at most."""


def shown(data: bytes) -> str:
    """Bytes as a line shows them: all of a few, and the ends of many."""
    if len(data) <= _BEFORE + _AFTER:
        return repr(data)
    left_out = len(data) - _BEFORE - _AFTER
    return f"{data[:_AFTER]!r} ... {left_out} bytes ... {data[-_BEFORE:]!r}"


def difference(expected: bytes, got: bytes, end: str) -> str:
    """A message about bytes that are not what they should be, with a mark at the first that differs.

    Args:
      expected: What should have come.
      got: What came, as far as it was read.
      end: Why no more was read; may be empty.
    """
    end = f", then {end}" if end else ""
    pairs = zip(expected, got, strict=False)
    at = next((number for number, (one, other) in enumerate(pairs) if one != other), len(got))
    start = max(0, at - _BEFORE)
    if not got:
        return f"expected {shown(expected)}, and {end.removeprefix(', then ') or 'nothing came'}"
    if start:
        # The same number of columns whatever the bytes are, so that the mark is in the right place.
        return (
            f"other bytes came than expected, from byte {at} on{end}\n"
            f"  expected  {shown(expected[at:])}\n"
            f"  got       {shown(got[at:])}\n"
            f"  after     {shown(expected[start:at])}"
        )
    mark = " " * (len(repr(expected[:at])) - 1) + "^"
    what = "too little came" if at == len(got) else "other bytes came than expected"
    return (
        f"{what}, from byte {at} on{end}\n"
        f"  expected  {shown(expected)}\n"
        f"  got       {shown(got)}\n"
        f"            {mark}"
    )
