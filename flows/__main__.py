"""``python -m lamina.flows``: the command line without the console script."""

import sys

from lamina.flows.cli import main

__all__ = []

if __name__ == "__main__":
    sys.exit(main())
