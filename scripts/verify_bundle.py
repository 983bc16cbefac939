"""Checks of a bundle's files and properties, as the model zoo describes them; `bundles/verify.sh` runs all of them.

    python scripts/verify_bundle.py bundles/semgan_abdomen

The exit code is 1 if a check fails.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from monai_semgan.authoring.checks import CHECKS, finding


def main(bundle: Path) -> int:
    """Print one line per check; the number of failures."""
    warnings.simplefilter("ignore")
    failures = 0
    for name, check in CHECKS.items():
        problem = finding(check, bundle)
        failures += bool(problem)
        print(f"{'FAILED' if problem else 'ok':7}{name}{': ' + problem if problem else ''}", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(min(1, main(Path(sys.argv[1]).resolve())))
