"""Checks of a bundle's files and properties, as the model zoo describes them; `bundles/verify.sh` runs all of them.

    python scripts/verify_bundle.py bundles/semgan_abdomen
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

from monai_semgan.bundling.checks import CHECKS


def main(bundle: Path) -> int:
    """Print one line per check; the number of failures."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    failures = 0
    for name, check in CHECKS.items():
        try:
            problem = check(bundle)
        except Exception as error:  # every fault of a bundle is a finding, and the list goes on
            problem = f"{type(error).__name__}: {error}"
        failures += bool(problem)
        print(f"{'FAILED' if problem else 'ok':7}{name}{': ' + problem if problem else ''}", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(min(1, main(Path(sys.argv[1]).resolve())))
