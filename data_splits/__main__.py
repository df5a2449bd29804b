"""`python -m data_splits` is `data-splits`."""

import sys

from data_splits.cli import main

if __name__ == "__main__":
    sys.exit(main())
