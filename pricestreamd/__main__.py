"""`python -m pricestreamd` is `pricestreamd`."""

import sys

from pricestreamd.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
