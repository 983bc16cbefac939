"""Install into `.venv` and segment: a synthetic patient, or the scan that is given.

    python3 scripts/quickstart.py                 # self-consistency check, needs no data
    python3 scripts/quickstart.py SCAN.nii.gz     # segment this scan

Further options are those of `semgan selfcheck`; results go to `semgan_results/`.
"""

from __future__ import annotations

import subprocess
import sys

from environment import prepare


def main() -> int:
    """Install, then run."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return 0
    python = prepare()
    return subprocess.run([str(python), "-m", "monai_semgan", "selfcheck", *sys.argv[1:]]).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
