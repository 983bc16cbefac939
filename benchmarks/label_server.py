"""Figures of `semgan serve` on real CTs: start, preview through HTTP, answers while it computes, memory over 20 jobs.

    python benchmarks/label_server.py $SEMGAN_DATA/abdomen_ct/images/ct_00.nii.gz OTHER.nii.gz --out label_server.json

In the environment of the extra `label`. The scans are copied, the first one cut to its middle 90 slices. Prints a table
for docs/label_server.md and writes everything as JSON. Resident memory is the sum over all processes of the server.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel
from label_client import MEGABYTE, Client, Latencies, MemoryWatch, Server, resident, serving
from monailabel.client import MONAILabelClient

from monai_semgan.utils.device import select_device
from monai_semgan.utils.versions import machine, versions

SLICES = 90
PART = "label"
POLL_PAUSE = 0.1
MEMORY_AT = (5, 20)
"""After these jobs the resident memory is compared."""

Row = tuple[str, str, str]


def cut(scan: Path, target: Path) -> None:
    """Write the middle slices of a scan."""
    image = nibabel.load(scan)
    if image.shape[2] < SLICES:
        raise SystemExit(f"{scan}: {image.shape[2]} slices, {SLICES} are needed")
    first = (image.shape[2] - SLICES) // 2
    nibabel.save(image.slicer[:, :, first : first + SLICES], target)


def middle(scan: Path) -> tuple[float, float]:
    """Positions, RAS mm, between which the middle fifth of a scan's slices lies."""
    image = nibabel.load(scan)
    ends = [float((image.affine @ [0, 0, share * image.shape[2], 1])[2]) for share in (0.4, 0.6)]
    return min(ends), max(ends)


def start(server: Server) -> dict[str, float]:
    """Seconds until `/info/` answers, and until the model is warm."""
    client = Client(server.address)
    client.get("/info/")
    answered = time.perf_counter() - server.started
    client.wait_until_warm()
    return {"info_seconds": round(answered, 2), "warm_seconds": round(time.perf_counter() - server.started, 2)}


def preview_job(client: Client, scan: Path) -> dict[str, float]:
    """Seconds of a preview from the file to the label, through the job API with an upload.

    The job has ended then; the page for people comes a little later, and a job that follows waits for it.
    """
    marks = [time.perf_counter()]
    upload = client.upload(scan)
    marks.append(time.perf_counter())
    job = client.submit(upload=upload, mode="preview")
    client.wait(job, version=1)
    marks.append(time.perf_counter())
    client.ask("GET", f"/semgan/jobs/{job}/result/{PART}")
    marks.append(time.perf_counter())
    state = client.wait(job)
    assert state["state"] == "done", state
    client.ask("GET", f"/semgan/jobs/{job}/result/report")
    page = time.perf_counter()
    told = client.get(f"/semgan/jobs/{job}/result")["latencies"]
    client.ask("DELETE", f"/semgan/jobs/{job}")
    client.ask("DELETE", f"/semgan/uploads/{upload}")
    return {
        "total": marks[-1] - marks[0],
        "upload": marks[1] - marks[0],
        "job": marks[2] - marks[1],
        "fetch": marks[3] - marks[2],
        "inference": told["infer"],
        "transport": marks[-1] - marks[0] - told["infer"],
        "page": page - marks[-1],
    }


def preview_stock(client: MONAILabelClient, scan: Path) -> dict[str, float]:
    """The same with MONAI Label's own client: a session with the scan, `/infer`, the label."""
    started = time.perf_counter()
    session = client.create_session(str(scan))["session_id"]
    file, params = client.infer("semgan_preview", "", {}, session_id=session)
    total = time.perf_counter() - started
    client.remove_session(session)
    Path(file).unlink()
    inference = params["latencies"]["infer"]
    return {"total": total, "inference": inference, "transport": total - inference}


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Median of every figure."""
    return {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}


def answers_during_inversion(client: Client, image: str, seconds: float) -> dict[str, Any]:
    """Latencies of polling while an inversion runs; the job is cancelled in the end."""
    latencies = Latencies()
    job = client.submit(image=image, mode="invert")
    while client.get(f"/semgan/jobs/{job}")["step"] < 1:
        time.sleep(POLL_PAUSE)
    until = time.monotonic() + seconds
    polled = {"info": "/info/", "job": f"/semgan/jobs/{job}", "jobs": "/semgan/jobs", "health": "/semgan/health"}
    while time.monotonic() < until:
        for name, path in polled.items():
            with latencies.timed(name):
                state = client.get(path)
            if name == "job" and state["state"] != "running":
                until = 0.0
        time.sleep(POLL_PAUSE)
    if client.get(f"/semgan/jobs/{job}")["state"] == "running":
        client.ask("POST", f"/semgan/jobs/{job}/cancel")
    client.wait(job)
    return latencies.summary()


def memory_over_jobs(
    server: Server, client: Client, image: str, span: tuple[float, float], jobs: int
) -> dict[str, Any]:
    """Resident MB after every job: two previews, then an inversion of two steps of some slices, and so on."""
    after = []
    for number in range(jobs):
        part = {"mode": "invert", "steps": 2, "slice_range_mm": span}
        job = client.submit(image=image, **(part if number % 3 == 2 else {"mode": "preview"}))
        state = client.wait(job, 0.5)
        assert state["state"] == "done", state
        client.ask("GET", f"/semgan/jobs/{job}/result/{PART}")
        time.sleep(1.0)  # the worker gives memory back once it has told of the end
        after.append(round(resident(server.process) / MEGABYTE))
    first, last = (after[min(number, jobs) - 1] for number in MEMORY_AT)
    return {"after_job_mb": after, f"job_{MEMORY_AT[0]}_mb": first, f"job_{MEMORY_AT[1]}_mb": last}


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures."""
    studies, scan = folder / "studies", folder / "studies" / "cut.nii.gz"
    studies.mkdir()
    cut(arguments.scans[0], scan)
    for number, path in enumerate(arguments.scans):
        shutil.copy(path, studies / f"scan{number}.nii.gz")
    images = [f"scan{number}" for number in range(len(arguments.scans))]
    options = ["--device", arguments.device, *(["--bundle", str(arguments.bundle)] if arguments.bundle else [])]
    with serving(studies, *options) as server, MemoryWatch(server.process) as watch:
        found: dict[str, Any] = {"start": start(server)}
        client, stock = Client(server.address), MONAILabelClient(server.address, tmpdir=str(folder))
        found["idle_mb"] = round(resident(server.process) / MEGABYTE)
        runs = range(arguments.repeats)
        found["preview_job"] = medians([preview_job(client, scan) for _ in runs])
        found["preview_stock"] = medians([preview_stock(stock, scan) for _ in runs])
        found["during_inversion"] = answers_during_inversion(client, images[0], arguments.seconds)
        found["memory"] = memory_over_jobs(server, client, "cut", middle(scan), arguments.jobs)
        found["peak_mb"] = round(watch.peak / MEGABYTE)
    return found


def rows(found: dict[str, Any]) -> list[Row]:
    """What was asked, and what was measured."""
    begin, own, stock = found["start"], found["preview_job"], found["preview_stock"]
    slowest = {name: f"{one['p95_ms']:.0f} ms" for name, one in found["during_inversion"].items()}
    memory = found["memory"]
    first, last = (memory[f"job_{number}_mb"] for number in MEMORY_AT)
    return [
        ("`/info/` answers after the start", "30 s", f"{begin['info_seconds']:.1f} s"),
        ("model warm", "90 s", f"{begin['warm_seconds']:.1f} s"),
        (f"preview of {SLICES} slices, job API with upload", "25 s", f"{own['total']:.1f} s"),
        ("... of which not inference", "3 s", f"{own['transport']:.1f} s"),
        (f"preview of {SLICES} slices, `MONAILabelClient` with session", "25 s", f"{stock['total']:.1f} s"),
        ("... of which not inference", "3 s", f"{stock['transport']:.1f} s"),
        ("`/info/` during an inversion, 95th percentile", "200 ms", slowest["info"]),
        ("a job during an inversion, 95th percentile", "200 ms", slowest["job"]),
        ("resident memory, highest", "4096 MB", f"{found['peak_mb']} MB"),
        (f"resident memory after jobs {MEMORY_AT[0]} and {MEMORY_AT[1]}", "no growth", f"{first} and {last} MB"),
    ]


def table(found: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| figure | asked | measured |", "|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows(found)])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="of polling while an inversion runs")
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments, Path(folder))
    found["machine"] = machine(select_device(arguments.device), 1) | {"load_average": os.getloadavg()}
    packages = ("monailabel", "fastapi", "uvicorn")
    found["versions"] = versions() | {name: version(name) for name in packages} | {"platform": platform.platform()}
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
