"""`python -m timbrel` is `timbrel`."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        # The working folder: a `random.py` in it must not stand in for Python's (cli.py).
        del sys.path[0]
    from timbrel.cli import main

    sys.exit(main())
