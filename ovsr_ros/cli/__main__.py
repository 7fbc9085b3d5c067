"""`python -m ovsr_ros.cli` is the command `ovsr`."""

import sys

from ovsr_ros.cli import main

if __name__ == "__main__":
    sys.exit(main())
