"""What stands in for `semgan learn`: as quick as a test wants it, with the same words to its parent.

It makes a version that is the model once more, unless `$FAKE_LEARN` is `refuse`, `die` or `misuse`.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import REPOSITORY

STEP_SECONDS = 0.05
STEPS_A_SECOND = 2
"""Of the budget: a second of it takes a tenth."""


def write_interpreter(folder: Path) -> str:
    """Make a program that is started as an interpreter would be, and learns nothing."""
    path = folder / "python"
    lines = ["#!/bin/sh", f"export PYTHONPATH={REPOSITORY}", f'exec {sys.executable} -m tests.jobs.fake_learning "$@"']
    path.write_text("\n".join(lines) + "\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def main() -> None:
    """Learn nothing, for the time of the budget."""
    from monai_semgan.bundle.model_versions import VersionRecord, VersionStore
    from monai_semgan.errors import SemganError
    from monai_semgan.utils.parent_progress import ParentProgress

    if os.environ.get("FAKE_LEARN") == "misuse":
        sys.exit(f"semgan: error: {Path(__file__).parent}/list.json: holds no aorta; label it")
    asked = _arguments()
    images = tuple(Path(one["image"]).name.split(".")[0] for one in json.loads(asked.data.read_text())["training"])
    steps = round(float(asked.budget.removesuffix("s")) * STEPS_A_SECOND)
    with ParentProgress() as progress:
        sys.stdout.write("what libraries print\n")
        for step in range(steps + 1):
            progress.update(step, steps, "learning", ETA=(steps - step) * STEP_SECONDS)
            time.sleep(STEP_SECONDS)
            if progress.should_stop():
                sys.exit(130)
        if os.environ.get("FAKE_LEARN") == "refuse":
            raise SemganError("the liver would get worse", remedy="give more labels", path=asked.data)
        if os.environ.get("FAKE_LEARN") == "die":
            os.kill(os.getpid(), 9)
        store = VersionStore(asked.versions, asked.bundle)
        names = tuple(asked.structure)
        record = VersionRecord(
            store.current().number, "tune" if asked.tune else "structure", names, images, images[:1], {names[0]: 0.75}
        )
        with tempfile.TemporaryDirectory() as made:
            os.symlink(asked.bundle, Path(made) / "bundle")
            store.use(store.add(Path(made) / "bundle", record).number)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--structure", action="append", default=[])
    parser.add_argument("--label-id", action="append", default=[])
    parser.add_argument("--colour", action="append", default=[])
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--versions", type=Path)
    parser.add_argument("--budget")
    parser.add_argument("--progress")
    parser.add_argument("--held-out", type=int)
    parser.add_argument("--tune", action="store_true")
    return parser.parse_args(sys.argv[sys.argv.index("learn") + 1 :])


if __name__ == "__main__":
    main()
