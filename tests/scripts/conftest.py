"""The folder of the scripts is on the path, as Python does for a script of that folder."""

from __future__ import annotations

import sys

from tests.conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "scripts"))
