"""Make a bundle of a run, and use it.

All three stages are trained, so that a bundle can be filled, but only the student for more than a moment: `preview`
finds something, an inversion would not. The bundle is a folder in MONAI's format; packed, it is the zip that
`monai.bundle download` takes. On the command line: `semgan bundle make` and `pack`.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from phantom import NAMES, draw, phantom, write_phantoms

import monai_semgan as sg

out = Path(sys.argv[1] if len(sys.argv) > 1 else "semgan_results")
data, run, folder = out / "phantoms", out / "all_stages", out / "phantom_organs"
for old in (run, folder):
    shutil.rmtree(old, ignore_errors=True)
data.mkdir(parents=True, exist_ok=True)
(data / "list.json").write_text(json.dumps({"training": write_phantoms(data, range(4))}))

tiny = {
    "gan": (5, {"channels": {4: 16, 8: 16, 16: 16, 32: 8}, "latent_dim": 32, "batch_size": 4}),
    "encoder": (5, {"channels": (8, 8, 8, 8, 8), "batch_size": 4}),
    "student": (400, {"channels": (16, 32, 64), "batch_size": 8, "learning_rate": 3e-3, "generated_fraction": 0.0}),
}
for stage, (steps, options) in tiny.items():
    settings = sg.TrainSettings(
        steps=steps, size=32, pixel_mm=10.0, labels=NAMES, validations=1, tensorboard=False, options=options
    )
    sg.train(stage, data / "list.json", run, settings)

sg.make_bundle(run, folder, authors="The gallery")
archive = sg.pack_bundle(folder, out / "phantom_organs.zip")
print(f"{archive.name}, {archive.stat().st_size / 2**20:.1f} MiB, made of")
for path in sorted(folder.rglob("*")):
    if path.is_file():
        print(f"  {path.relative_to(folder).as_posix()}")

bundle = sg.load_bundle(folder)
scan, truth = phantom(100)
result = sg.segment(scan, bundle)
print("\na phantom that was not in training")
for index, organ in bundle.labels.items():
    found, true = result.label == index, truth.array == index
    dice = 2 * (found & true).sum() / (found.sum() + true.sum())
    print(f"  {organ:<14}{result.volumes_ml[organ]:6.0f} ml of {true.sum() * truth.voxel_ml:6.0f} ml, Dice {dice:.2f}")
for note in result.notes:
    print(f"note: {note}")
plane = truth.array.shape[2] // 2
pairs = [(scan.array[..., plane], label[..., plane]) for label in (truth.array, result.label)]
draw(out / "truth_and_preview.png", *pairs)
