"""Makes the virtual environment `.venv` at the top of the repository and installs the package into it.

Needs nothing but Python 3.10 or later; used by quickstart.py and run_tests.py.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
ENVIRONMENT = REPOSITORY / ".venv"
STAMP = ENVIRONMENT / "semgan-installed.txt"
DESCRIPTION_FILES = ("setup.cfg", "setup.py", "pyproject.toml", "scripts/environment.py")

TESTED_TORCH = "torch==2.13.0"
TORCH_RANGE = "torch>=2.8,<2.15"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def python_of_environment() -> Path:
    """The interpreter of the virtual environment."""
    return ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def prepare(extra: str = "") -> Path:
    """Make the environment, or complete it, and return its interpreter.

    Args:
        extra: optional part of the package to install too, for example `test`.
    """
    if sys.version_info < (3, 10):  # noqa: UP036 - this file runs before any installer has looked
        sys.exit(f"error: Python {platform.python_version()} is too old; use Python 3.10 or later")
    python = python_of_environment()
    wanted = _fingerprint()
    installed = STAMP.read_text().split() if STAMP.exists() and python.exists() else []
    if installed[:1] == [wanted] and (not extra or extra in installed):
        return python
    extras = sorted({name for name in (*installed[1:], extra) if name}) if installed[:1] == [wanted] else [extra]
    if not python.exists():
        _make_environment()
    _install_torch(python)
    target = f".[{','.join(e for e in extras if e)}]" if any(extras) else "."
    print("installing monai_semgan and what it needs into .venv (once, a few minutes) ...", flush=True)
    if _pip(python, "install", "--editable", target) != 0:
        sys.exit("error: the installation failed; see pip's messages above (is there a network connection?)")
    STAMP.write_text(" ".join([wanted, *(e for e in extras if e)]) + "\n")
    return python


def _fingerprint() -> str:
    digest = hashlib.sha256(platform.python_version().encode() + str(REPOSITORY).encode())
    for name in DESCRIPTION_FILES:
        digest.update((REPOSITORY / name).read_bytes())
    return digest.hexdigest()[:16]


def _make_environment() -> None:
    print("making the virtual environment .venv ...", flush=True)
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)]).returncode != 0:
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        sys.exit("error: no virtual environment could be made; on Debian or Ubuntu: sudo apt install python3-venv")


def _install_torch(python: Path) -> None:
    """PyTorch in its CPU build, several gigabytes smaller, unless there is an NVIDIA GPU."""
    if subprocess.run([str(python), "-c", "import torch"], stderr=subprocess.DEVNULL).returncode == 0:
        return
    gpu = has_nvidia_gpu()
    print(f"installing PyTorch ({'with CUDA' if gpu else 'for the CPU'}) ...", flush=True)
    attempts = [["install", TESTED_TORCH], ["install", TORCH_RANGE]]
    if not gpu and sys.platform == "linux":
        # without dependencies: these come from the usual index together with the package
        cpu = ["install", "--no-deps", "--timeout", "15", "--retries", "1", "--index-url", CPU_INDEX]
        attempts = [[*cpu, TESTED_TORCH], [*cpu, TORCH_RANGE], *attempts]
    for number, attempt in enumerate(attempts):
        if number and CPU_INDEX in attempts[number - 1] and CPU_INDEX not in attempt:
            print("PyTorch's CPU index does not answer: taking the large build of the usual index", flush=True)
        if _pip(python, *attempt, quiet_errors=number + 1 < len(attempts)) == 0:
            return
    sys.exit("error: PyTorch could not be installed; see pip's messages above (is there a network connection?)")


def has_nvidia_gpu() -> bool:
    """Whether the driver's own tool lists a GPU."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def _pip(python: Path, *arguments: str, quiet_errors: bool = False) -> int:
    command = [str(python), "-m", "pip", *arguments, "--disable-pip-version-check"]
    errors = subprocess.DEVNULL if quiet_errors else None
    return subprocess.run(command, cwd=REPOSITORY, stderr=errors).returncode
