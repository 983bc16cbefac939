"""Install what the label server needs into `.venv-label`, beside the environment of the command line.

    python3 scripts/label_environment.py
    .venv-label/bin/semgan serve STUDIES

MONAI Label needs an environment of its own: docs/label_server.md says why.
"""

from __future__ import annotations

import sys

from environment import LABEL, REPOSITORY, prepare


def main() -> int:
    """Install."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return 0
    python = prepare("label", LABEL)
    print(f"ready: {python.relative_to(REPOSITORY).with_name('semgan')} serve STUDIES")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
