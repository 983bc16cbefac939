"""Corrections through a server: how long a reader waits, and what a history of fifty adds to its memory.

    python benchmarks/correction_server.py --data $SEMGAN_DATA --out correction_server.json

In the environment of the extra `label`. A CT, cut to 90 slices, is uploaded and previewed; strokes of the simulated
reader are sent one after the other, each when the one before has ended. `first` is the time from the request to the
first partial result fetched, `done` to the whole one. Resident memory is the sum over all processes of the server,
before the first correction, after ten and after fifty.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel
from correction_timing import SLICES, cut, part_of, strokes_everywhere
from label_client import ENDED, MEGABYTE, Client, resident, serving

from monai_semgan.correction.strokes import Stroke
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.utils.device import select_device
from monai_semgan.utils.versions import machine, versions

MEMORY_AT = (10, 50)
POLL_PAUSE = 0.05


def stroke_input(stroke: Stroke, names: dict[int, str], shape: tuple[int, int, int]) -> dict[str, Any]:
    """A stroke as the job API takes it."""
    runs = [list(run) for run in stroke.runs(shape)]
    name = names[stroke.structure]
    return {"structure": name, "positive": stroke.positive, "kind": stroke.kind, "runs": runs}


def correct(client: Client, job: str, request: dict[str, Any]) -> dict[str, float]:
    """Send strokes and wait; seconds until the first label and the last."""
    started = time.perf_counter()
    correction = client.ask("POST", f"/semgan/jobs/{job}/corrections", json=request).json()["id"]
    found: dict[str, float] = {}
    while True:
        state = client.get(f"/semgan/jobs/{correction}")
        if state["result_version"] >= 1 and "first" not in found:
            client.ask("GET", f"/semgan/jobs/{correction}/result/label")
            found["first"] = time.perf_counter() - started
        if state["state"] in ENDED:
            assert state["state"] == "done", state
            client.ask("GET", f"/semgan/jobs/{correction}/result/label")
            return {**found, "done": time.perf_counter() - started}
        time.sleep(POLL_PAUSE)


def measure(data: Path, name: str, folder: Path) -> dict[str, Any]:
    """Preview a scan and correct it fifty times."""
    whole = read_volume(data / "images" / f"{name}.nii.gz")
    reference = read_label(data / "labels" / f"{name}.nii.gz", whole).array
    scan, where, axis = cut(whole, reference, SLICES)
    reference = part_of(reference, axis, where)
    path = folder / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(scan.array, scan.affine), path)
    (folder / "studies").mkdir()
    with serving(folder / "studies", "--device", "cpu", "--port", "0") as server:
        client = Client(server.address)
        client.wait_until_warm()
        job = client.submit(upload=client.upload(path), mode="preview")
        assert client.wait(job)["state"] == "done"
        (folder / "label.nrrd").write_bytes(client.ask("GET", f"/semgan/jobs/{job}/result/label").content)
        label = read_label(folder / "label.nrrd", scan).array
        names = {int(one["id"]): str(one["name"]) for one in client.get(f"/semgan/jobs/{job}/result")["labels"]}
        memory, waits = {"0": resident(server.process) // MEGABYTE}, []
        for number, stroke in enumerate(strokes_everywhere(label, reference, scan.affine), start=1):
            strokes = [stroke_input(stroke, names, scan.array.shape)]
            waits.append(correct(client, job, {"strokes": strokes, "shape": list(scan.array.shape)}))
            if number in MEMORY_AT:
                memory[str(number)] = resident(server.process) // MEGABYTE
                print(f"{number} corrections: {memory[str(number)]} MB, {memory['0']} before", flush=True)
            if number == max(MEMORY_AT):
                break
    seconds = {key: [round(wait[key], 2) for wait in waits] for key in ("first", "done")}
    middle = {key: statistics.median(values[1:]) for key, values in seconds.items()}
    return {"resident_mb": memory, "median_seconds": middle, "seconds": seconds}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = os.environ.get("SEMGAN_DATA")
    parser.add_argument("--data", type=Path, default=known, required=known is None, help="default: $SEMGAN_DATA")
    parser.add_argument("--scan", default="ct_00", metavar="NAME")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments.data / "abdomen_ct", arguments.scan, Path(folder))
    print(found["resident_mb"], found["median_seconds"])
    found |= {"machine": machine(select_device("cpu"), 1), "versions": versions()}
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
