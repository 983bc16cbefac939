"""The reader's loop in 3D Slicer on scans that people have: open, preview, edit, submit, next sample, reload.

    .venv-slicer/bin/python benchmarks/reading_room_loop.py --data $SEMGAN_DATA --out reading_room_loop.json

With `semgan serve`, the client of the extension and a real scene, on ct_04 as it is (left-handed, as nearly all NIfTI
files of the data sets are), ct_12 turned to RAS, and mr_05. For every scan: Dice of the label that the server keeps
against the panel's, how many voxels moved on the way there and back, and whether it lies on the scan's own grid. A
figure that is not as it has to be ends with exit code 1.

Run by the environment of the extension's tests; `semgan serve` runs in that of the label server
($SEMGAN_LABEL_PYTHON, or .venv-label).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

REPOSITORY = Path(__file__).resolve().parents[1]
MODULE = REPOSITORY / "slicer_extension" / "SemGAN"
sys.path[:0] = [str(REPOSITORY), str(MODULE)]

if TYPE_CHECKING:
    from tests.slicer_extension.reading_loop import Turn


def copy_studies(data: Path, studies: Path) -> list[str]:
    """Copy the scans into a folder that is served; lists their ids."""
    from tests.slicer_extension.scan_files import turned_round

    sources = {
        "ct_04": data / "abdomen_ct" / "images" / "ct_04.nii.gz",
        "ct_12": data / "abdomen_ct" / "images" / "ct_12.nii.gz",
        "mr_05": data / "abdomen_mr_t2" / "images" / "mr_05.nii.gz",
    }
    studies.mkdir(parents=True)
    for name, path in sources.items():
        content = path.read_bytes()
        (studies / f"{name}.nii.gz").write_bytes(turned_round(content) if name == "ct_12" else content)
    return list(sources)


def a_scene() -> Any:
    """Make an empty scene, where `slicer.mrmlScene` is."""
    import slicer

    scene = slicer.vtkMRMLScene()
    slicer.mrmlScene = scene
    return scene


def turns(data: Path, bundle: Path | None) -> list[Turn]:
    """Go through the loop with every scan."""
    from tests.slicer_extension.label_server import KEY, LabelServer
    from tests.slicer_extension.reading_loop import take_turn
    from tests.slicer_extension.session import Session

    options = ["--bundle", str(bundle)] if bundle else []
    with tempfile.TemporaryDirectory(prefix="semgan_loop") as folder:
        studies = Path(folder) / "studies"
        names = copy_studies(data, studies)
        with LabelServer(Path(folder) / "home", studies, options) as server:
            session = Session(a_scene())
            session.connect(server.address, KEY)
            done = [take_turn(session, studies, name) for name in names]
            session.close()
    return done


def main() -> int:
    """Measure and print; 1 if anything is not as it has to be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SEMGAN_DATA"), help="default $SEMGAN_DATA")
    parser.add_argument("--bundle", type=Path, help="the one that comes along if left out")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("--data is missing, and $SEMGAN_DATA is not set")
    done = turns(Path(arguments.data), arguments.bundle)
    print("| scan | file | in Slicer | Dice | moved | moved back | own grid | next sample | preview, s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for turn in done:
        cells = [turn.image, turn.scan, turn.opened, turn.dice, turn.moved, turn.moved_reloaded, turn.on_own_grid]
        print("| " + " | ".join(map(str, [*cells, turn.following, round(turn.preview_seconds, 1)])) + " |")
    problems = [f"{turn.image}: {problem}" for turn in done for problem in turn.problems]
    print("\n".join(problems) or "all as it has to be")
    if arguments.out:
        facts = {"turns": [asdict(turn) for turn in done], "slicer-core": metadata.version("slicer-core")}
        arguments.out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
