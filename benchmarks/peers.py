"""What does a label of a scan cost here, and what with nnU-Net, TotalSegmentator and MONAI's SegResNet?

    python benchmarks/peers.py $SEMGAN_DATA/abdomen_ct/images/ct_12.nii.gz --data $SEMGAN_DATA/abdomen_ct --folder peers
    python benchmarks/peers.py mr_02.nii.gz --data $SEMGAN_DATA/abdomen_mr_t2 --modality MR --only "nnU-Net 2d"

Makes an environment with the packages of peers_requirements.txt (once, some 3 GB), and in it models with random weights
(peers_models.py): the figures are of cost only, not of quality. nnU-Net plans its networks for the scans of --data; one
fold, no mirroring, windows that overlap by half. TotalSegmentator runs `--fast --ml`, with a network of its kind.

Every run is a whole process as a user starts it, from file to file, on the CPU. Each run of a peer is paired with the
run of ours before it, so that a machine whose speed drifts does not matter; the table shows medians, and medians of the
ratio pair by pair. Processor seconds are those of all threads and worker processes, as the operating system counts;
the peak of memory is that of the largest process (nnU-Net runs in one, TotalSegmentator starts two more).

Ours runs without any setting. Peers get what suits them, which they do not choose themselves: threads that wait
passively, as many as there are cores, also where nnU-Net would take eight, and no worker processes where they can do
without. `--waiting default` runs them as they come, `one` with a single thread.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[1] / "scripts"))

import environment
from peers_models import variables

BENCHMARKS = Path(__file__).resolve().parent
REPOSITORY = BENCHMARKS.parent
REQUIREMENTS = BENCHMARKS / "peers_requirements.txt"
PEERS = ("nnU-Net 2d", "nnU-Net 3d_fullres", "SegResNet", "TotalSegmentator --fast")
WAITING = ("passive", "default", "one")
FIELDS = {"processor": 1, "wall": 1, "peak_mb": 0}
"""What is printed of a cost, and with how many decimals."""

CHOSEN = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_NUM_THREADS", "SEMGAN_", "nnUNet_")
"""Settings of the shell or of an outer program, that would decide about threads."""


class Cost(NamedTuple):
    """What a process and its workers took."""

    processor: float
    wall: float
    peak_mb: float
    load: float


def measure(command: list[str], variables_: Mapping[str, str], folder: Path) -> Cost:
    """Run a command and ask the operating system what it took.

    The peak of a child counts from before it has become another program: this process stays small, without PyTorch.
    """
    load = os.getloadavg()[0]
    with (folder / "output.txt").open("w") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=dict(variables_), cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        lines = (folder / "output.txt").read_text(errors="replace").splitlines()
        raise SystemExit(f"error: {' '.join(command)} failed:\n" + "\n".join(lines[-15:]))
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * unit / 1e6, load)


def plain() -> dict[str, str]:
    """The variables of this process without those that decide about threads."""
    return {name: value for name, value in os.environ.items() if not name.startswith(CHOSEN)}


def waiting(way: str) -> dict[str, str]:
    """Variables for the threads of a peer."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = 1 if way == "one" else cores
    chosen = {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "nnUNet_def_n_proc": str(threads),
    }
    return {} if way == "default" else chosen


def command_of(peer: str, python: Path, models: Path, folder: Path, way: str) -> tuple[list[str], Path]:
    """How a peer is called for the scan in `folder/in`, and the label that it writes."""
    scan, out = folder / "in" / "scan_0000.nii.gz", folder / "out"
    if peer.startswith("nnU-Net"):
        command = [
            str(python.parent / "nnUNetv2_predict"),
            "-i",
            str(scan.parent),
            "-o",
            str(out),
            "-d",
            "1",
            "-f",
            "0",
        ]
        command += ["-c", peer.split()[1], "-device", "cpu", "--disable_tta", "-step_size", "0.5"]
        return command + ([] if way == "default" else ["-npp", "0", "-nps", "0"]), out / "scan.nii.gz"
    label = out / "label.nii.gz"
    if peer == "SegResNet":
        return [
            str(python),
            str(BENCHMARKS / "peers_models.py"),
            "segresnet",
            str(models),
            str(scan),
            str(label),
        ], label
    task = json.loads((models / "prepared.json").read_text())["total_task"]
    command = [
        str(python.parent / "TotalSegmentator"),
        "-i",
        str(scan),
        "-o",
        str(label),
        "-ta",
        task,
        "--fast",
        "--ml",
    ]
    return [*command, "-d", "cpu", *([] if way == "default" else ["-ns", "1"])], label


@contextlib.contextmanager
def workplace(scan: Path) -> Iterator[Path]:
    """A fresh folder with a scan as `in/scan_0000.nii.gz`, and an empty `out`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        (folder / "out").mkdir()
        (folder / "in" / "scan_0000.nii.gz").symlink_to(scan)
        yield folder


def run_ours(root: Path, scan: Path) -> Cost:
    """`semgan segment` of a tree."""
    with workplace(scan) as folder:
        label = folder / "out" / "label.nii.gz"
        command = [sys.executable, "-m", "monai_semgan", "segment", str(folder / "in" / "scan_0000.nii.gz")]
        command += ["--output", str(label), "--device", "cpu", "--quiet"]
        cost = measure(command, plain() | {"PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": ""}, folder)
        require(label, "semgan segment")
    return cost


def run_peer(peer: str, way: str, python: Path, models: Path, scan: Path) -> Cost:
    """A peer's own program."""
    with workplace(scan) as folder:
        command, label = command_of(peer, python, models, folder, way)
        cost = measure(command, plain() | variables(models) | waiting(way), folder)
        require(label, peer)
    return cost


def require(label: Path, name: str) -> None:
    """Stop where a program has ended well and written nothing."""
    if not label.is_file():
        raise SystemExit(f"error: {name} wrote no label")


def mend_torchvision(python: Path) -> None:
    """Make torchvision importable where only its build for CUDA could be had, beside PyTorch for the CPU.

    nnU-Net imports it through other packages and uses nothing of it. Its library does not load there, which it bears,
    but then it describes to PyTorch the operators of that library, which fails.
    """
    if subprocess.run([str(python), "-c", "import torchvision"], capture_output=True).returncode:
        code = "import importlib.util; print(importlib.util.find_spec('torchvision').origin)"
        found = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        Path(found).with_name("_meta_registrations.py").write_text("")


def prepare(folder: Path, arguments: argparse.Namespace) -> tuple[Path, Path]:
    """Make the environment and the models, or find them; the interpreter and the folder of the models."""
    requirements = REQUIREMENTS.read_text()
    torch = tuple(line for line in requirements.splitlines() if line.startswith("torch=="))
    name = str(folder / "environment")  # joined to the repository, an absolute path stays what it is
    wanted = environment.Environment(
        name, (torch,), package=False, requirements=str(REQUIREMENTS), files=(str(REQUIREMENTS),)
    )
    python = environment.prepare(environment=wanted)
    mend_torchvision(python)
    options = ["--data", str(arguments.data.resolve()), "--modality", arguments.modality]
    options += ["--leave-out", *arguments.leave_out]
    text = "\n".join([*options, requirements, (BENCHMARKS / "peers_models.py").read_text()])
    models = folder / f"models-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    if not (models / "prepared.json").is_file():
        print("planning and making models ...", flush=True)
        models.mkdir(parents=True, exist_ok=True)
        command = [str(python), str(BENCHMARKS / "peers_models.py"), "prepare", str(models), *options]
        measure(command, plain() | variables(models), models)
    return python, models


def summarise(name: str, pairs: list[tuple[Cost, Cost]]) -> dict[str, Any]:
    """Medians of a peer, and of its ratio to ours pair by pair."""
    row: dict[str, Any] = {"name": name, "runs": len(pairs)}
    for field in ("processor", "wall", "peak_mb"):
        ours, peer = ([getattr(pair[side], field) for pair in pairs] for side in (0, 1))
        ratios = [b / a for a, b in zip(ours, peer, strict=True)]
        row[field] = {
            "ours": statistics.median(ours),
            "peer": statistics.median(peer),
            "ratio": statistics.median(ratios),
            "least_ratio": min(ratios),
            "largest_ratio": max(ratios),
        }
    return row | {"pairs": [{"ours": one._asdict(), "peer": other._asdict()} for one, other in pairs]}


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown: seconds of the processor and on the clock, megabytes; in brackets in times of ours."""
    lines = ["| | processor s | wall s | peak MB | ours: processor s, wall s, peak MB |", "|---|---|---|---|---|"]
    for row in rows:
        cells = [f"{row[key]['peer']:.{digits}f} ({row[key]['ratio']:.1f} x)" for key, digits in FIELDS.items()]
        ours = ", ".join(f"{row[key]['ours']:.{digits}f}" for key, digits in FIELDS.items())
        lines.append(f"| {row['name']} | {' | '.join(cells)} | {ours} |")
    return "\n".join(lines)


def surroundings(python: Path) -> dict[str, Any]:
    """Processor and versions on both sides; only after the runs, since it loads PyTorch."""
    import torch

    from monai_semgan.utils.versions import machine, versions

    packages = ("torch", "nnunetv2", "TotalSegmentator", "monai", "dynamic_network_architectures", "numpy")
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {packages!r}}}))"
    peers = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout
    here = machine(torch.device("cpu"), 1) | {"processor": processor()}
    return {"machine": here, "versions": {"ours": versions(), "peers": json.loads(peers)}}


def processor() -> str:
    """Its name, and whether it multiplies in bfloat16."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
        flags = next((line for line in lines if line.startswith("flags")), "").split()
        name += "".join(f", {flag}" for flag in ("avx512_bf16", "amx_bf16") if flag in flags)
    return name


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path, help="NIfTI file (.nii.gz)")
    parser.add_argument("--data", type=Path, required=True, help="images/ and labels/, for which nnU-Net plans")
    parser.add_argument("--modality", choices=("CT", "MR"), default="CT", help="of both")
    parser.add_argument("--leave-out", nargs="*", default=["ct_00", "ct_12", "ct_15", "ct_21"], help="not planned for")
    parser.add_argument("--folder", type=Path, help="of environment and models, kept (default: a temporary one)")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--waiting", nargs="+", choices=WAITING, default=("passive",), help="of peers' threads")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ours", type=Path, default=REPOSITORY, help="checkout whose `semgan segment` is measured")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    if not arguments.scan.name.endswith(".nii.gz"):
        parser.error("nnU-Net wants a NIfTI file whose name ends in .nii.gz")
    return arguments


def run(folder: Path, arguments: argparse.Namespace) -> None:
    """Measure, print and record."""
    python, models = prepare(folder, arguments)
    scan, root = arguments.scan.resolve(), arguments.ours.resolve()
    rows = []
    run_ours(root, scan)  # warms the file system's cache
    for peer in arguments.only:
        for way in arguments.waiting:
            pairs = []
            for _ in range(arguments.repeats):
                pairs.append((run_ours(root, scan), run_peer(peer, way, python, models, scan)))
                print(f"{peer}, {way}: ours {pairs[-1][0]}, peer {pairs[-1][1]}", flush=True)
            rows.append(summarise(f"{peer}, {way}", pairs))
    print(table(rows))
    print(f"{processor()}, {os.cpu_count()} cores; load and all runs: --json")
    record = {
        "benchmark": "peers",
        "scan": scan.name,
        "baseline": "semgan segment",
        "rows": rows,
        "models": json.loads((models / "prepared.json").read_text()),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(record | surroundings(python), indent=1) + "\n")


def main() -> None:
    """In the given folder, or in a temporary one."""
    arguments = parse()
    if arguments.folder:
        run(arguments.folder.resolve(), arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder).resolve(), arguments)


if __name__ == "__main__":
    main()
