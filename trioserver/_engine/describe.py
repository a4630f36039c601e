"""What went wrong in somebody's program, and where, in one line."""

from __future__ import annotations

import os
import traceback


def describe_error(error: BaseException) -> str:
    """The kind of an error, its place, and what it says.

    The place is the innermost one outside of the import system; that of a SyntaxError is the line that could
    not be compiled, and not the one that wanted it.
    """
    what, text = type(error).__name__, str(error)
    if isinstance(error, SyntaxError) and error.filename is not None and os.path.exists(error.filename):
        what, text = f"{what} at {error.filename}:{error.lineno}", error.msg
    else:
        places = traceback.extract_tb(error.__traceback__)
        ours = [place for place in places if not place.filename.startswith("<frozen ")] or places
        if ours:
            what = f"{what} at {ours[-1].filename}:{ours[-1].lineno}"
    return f"{what}: {' '.join(text.split())}"
