"""Train on scans of one's own.

A data list, six phantoms with labels, and 250 steps of the stage `student` on a network far too small: enough to see
what a run leaves. The picture has training slices, then their labels, then what the network makes of them. The same on
the command line: `semgan train student --data list.json --out run --steps 250 --size 32 --pixel-mm 10`.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from phantom import NAMES, write_phantoms
from PIL import Image

import monai_semgan as sg

out = Path(sys.argv[1] if len(sys.argv) > 1 else "semgan_results")
data, run = out / "phantoms", out / "run"
shutil.rmtree(run, ignore_errors=True)
data.mkdir(parents=True, exist_ok=True)

entries = write_phantoms(data, range(6))
(data / "list.json").write_text(json.dumps({"training": entries[:5], "validation": entries[5:]}))

student = {"channels": (16, 32, 64), "batch_size": 8, "learning_rate": 3e-3, "contrast": False, "ema_images": 300}
settings = sg.TrainSettings(
    steps=250, size=32, pixel_mm=10.0, labels=NAMES, validations=5, tensorboard=False, options=student
)
sg.train("student", data / "list.json", run, settings)

record = json.loads((run / "student" / "record.json").read_text())
print("validation Dice")
for scores in record["history"]:
    print(f"  step {scores['step']:>3}: mean {scores['dice']:.2f}")
print("the run holds")
for path in sorted(run.glob("**/[!.]*.*")):
    if path.is_file() and "cache" not in path.parts:
        print(f"  {path.relative_to(run).as_posix():<34}{path.stat().st_size / 1024:8.1f} KiB")
print("settings that travel with the weights")
for name, value in json.loads((run / "settings.json").read_text()).items():
    print(f"  {name}: {value}")

picture = Image.open(max((run / "student" / "sheets").glob("*.png")))
picture.resize((picture.width * 3, picture.height * 3), Image.Resampling.NEAREST).save(out / "image_grid.png")
