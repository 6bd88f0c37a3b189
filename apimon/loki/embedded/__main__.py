"""The server as a process of its own, as `apimon.loki.local` starts it: it ends after its last lease."""

import argparse
import sys
from pathlib import Path

from apimon.errors import ApimonError
from apimon.loki.embedded.starting import run_process


def main() -> int:
    """Serve; errors are one line on stderr, which is the log file."""
    parser = argparse.ArgumentParser(prog="python -m apimon.loki.embedded", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--data-dir", required=True, type=Path)
    parser.add_argument("--lease-grace", required=True, type=float, metavar="SECONDS")
    parser.add_argument("--retention", required=True, type=float, metavar="SECONDS")
    args = parser.parse_args()
    try:
        run_process(args.host, args.port, args.data_dir, retention_s=args.retention, lease_grace_s=args.lease_grace)
    except ApimonError as exc:
        print(f"error: {exc}", file=sys.stderr)  # noqa: T201
        return int(exc.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
