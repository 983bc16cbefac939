"""`python -m monai_semgan` is the same as `semgan`."""

from __future__ import annotations

import sys

from monai_semgan.cli import main

if __name__ == "__main__":
    sys.exit(main())
