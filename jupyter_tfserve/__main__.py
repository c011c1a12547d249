"""`python -m jupyter_tfserve`: the same as `jupyter tfserve`."""

import sys

from jupyter_tfserve.cli import main

if __name__ == "__main__":
    sys.exit(main())
