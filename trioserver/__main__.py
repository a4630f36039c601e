"""``python -m trioserver``: serve a handler from the command line, by default one that echoes lines."""

import sys

from ._cli.main import main

if __name__ == "__main__":
    sys.exit(main())
