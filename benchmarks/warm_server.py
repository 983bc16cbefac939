"""How long does a reader wait for a preview of a warm server? The servers of two trees, one preview each in turn.

    python benchmarks/warm_server.py OLD NEW --scan $SEMGAN_DATA/abdomen_ct/images/ct_12.nii.gz

In the environment of the extra `label`. OLD and NEW are checkouts, each with monai_semgan/ and bundles/. Both servers
run all the time; the one that is not asked waits. `preview` is the time from the job's request to its label, through
the job API, of an image of the studies; `label` until the label has been fetched too; `upload` the time of sending the
scan; `read`, `infer` and `write` are what the worker tells of its own time; `processor` is that of all processes of the
server for a job with its page for people. Every job waits for the page of the one before, as a reader who looks at a
label does. The first pair is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import torch
from label_client import Client, Server, serving

from monai_semgan.utils.versions import machine, versions

POLL_PAUSE = 0.05
NAME = "scan"


def processor_seconds(process: psutil.Process) -> float:
    """Processor time of a process and its children, those that have ended included."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        times = one.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def preview(server: Server, scan: Path) -> dict[str, float]:
    """Seconds of a preview, from request to label, and of an upload."""
    client = Client(server.address)
    started = time.perf_counter()
    upload = client.upload(scan)
    marks, before = [time.perf_counter()], processor_seconds(server.process)
    job = client.submit(image=NAME, mode="preview")
    client.wait(job, POLL_PAUSE, version=1)
    marks.append(time.perf_counter())
    told = client.get(f"/semgan/jobs/{job}/result")["latencies"]
    client.ask("GET", f"/semgan/jobs/{job}/result/label")
    marks.append(time.perf_counter())
    state = client.wait(job)
    assert state["state"] == "done", state
    while "report" not in client.get(f"/semgan/jobs/{job}")["parts"]:
        time.sleep(POLL_PAUSE)
    spent = processor_seconds(server.process) - before
    client.ask("DELETE", f"/semgan/jobs/{job}")
    client.ask("DELETE", f"/semgan/uploads/{upload}")
    inside = {name: told[key] for name, key in (("read", "pre"), ("infer", "infer"), ("write", "post"))}
    whole = {"upload": marks[0] - started, "preview": marks[1] - marks[0], "label": marks[2] - marks[0]}
    return {**whole, **inside, "processor": spent}


def compare(pairs: list[tuple[dict[str, float], dict[str, float]]]) -> dict[str, Any]:
    """Medians of old, new and of the ratio pair by pair, printed and returned."""
    found: dict[str, Any] = {}
    for name in pairs[0][0]:
        old, new = ([pair[k][name] for pair in pairs] for k in (0, 1))
        ratios = [b / max(a, 1e-9) for a, b in zip(old, new, strict=True)]
        middle = [statistics.median(values) for values in (old, new, ratios)]
        found[name] = dict(zip(("old", "new", "ratio"), middle, strict=True))
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{name:<10} old {middle[0]:7.2f} s  new {middle[1]:7.2f} s  ratio {middle[2]:.2f} ({spread})")
    return found


def start(root: Path, folder: Path, scan: Path, stack: ExitStack) -> Server:
    """Start the server of a tree on a folder with the scan; returns when its model is warm."""
    studies = folder / "studies"
    studies.mkdir(parents=True)
    shutil.copy(scan, studies / f"{NAME}.nii.gz")
    os.environ["PYTHONPATH"] = str(root)
    server = stack.enter_context(serving(studies, "--device", "cpu", "--port", "0"))
    Client(server.address).wait_until_warm()
    return server


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--scan", type=Path, required=True, help="a `.nii.gz`")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    load, folder = os.getloadavg(), Path.cwd()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        os.chdir(temporary)  # a folder without a package
        stack.callback(os.chdir, folder)
        roots = [(folder / root).resolve() for root in (arguments.old, arguments.new)]
        scan = (folder / arguments.scan).resolve()
        servers = [start(root, Path(temporary) / str(number), scan, stack) for number, root in enumerate(roots)]
        runs = [[preview(server, scan) for server in servers] for _ in range(arguments.repeats + 1)]
    figures = compare([(old, new) for old, new in runs[1:]])
    print(f"{arguments.repeats} pairs, load {load[0]:.1f}")
    found = {"figures": figures, "load": load, "machine": machine(torch.device("cpu"), 1), "versions": versions()}
    if arguments.json:
        (folder / arguments.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
