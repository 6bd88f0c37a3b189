"""Run every bench script, one after the other, and print their ratio lines: `python -m bench` or `make bench`."""

import pkgutil
import subprocess
import sys

import bench

# Code that scripts share: no benches of their own.
_SHARED = {"__main__", "timing", "request_lines"}


def main() -> None:
    """Run the scripts in processes of their own, so that none warms or disturbs the next; exit 1 if one fails."""
    names = sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if module.name not in _SHARED)
    failed = []
    for name in names:
        print(f"# {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
