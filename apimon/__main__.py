"""`python -m apimon` is the console script."""

from apimon.cli import main

if __name__ == "__main__":
    main()
