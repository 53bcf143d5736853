"""Lets `python -m orchestrator` do what `orchestrator` does."""

import sys

from orchestrator.cli.front import main

if __name__ == "__main__":
    sys.exit(main())
