"""Makes the virtual environments at the top of the repository.

Needs nothing but Python 3.10 or later; used by the other scripts of this folder.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TORCH_RANGE = "torch>=2.8,<2.15"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
STAMP = "semgan-installed.txt"


@dataclass(frozen=True)
class Environment:
    """A virtual environment and what belongs into it.

    Attributes:
        name: of its folder at the top of the repository.
        torch: what to ask for, one attempt after the other; nothing where PyTorch is not needed.
        bare: packages that are installed without what they say they need.
        package: whether this package goes in, with its optional parts.
        requirements: a file of requirements, or nothing.
        afterwards: modules that are run in the end.
        files: a change of these makes the environment anew.
    """

    name: str
    torch: tuple[tuple[str, ...], ...] = ()
    bare: tuple[str, ...] = ()
    package: bool = True
    requirements: str = ""
    afterwards: tuple[str, ...] = ()
    files: tuple[str, ...] = ("setup.cfg", "setup.py", "pyproject.toml", "scripts/environment.py")

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return REPOSITORY / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


CORE = Environment(".venv", torch=(("torch==2.13.0",), (TORCH_RANGE,)))

LABEL = Environment(
    ".venv-label",
    torch=(("torch==2.14.1", "torchvision==0.29.1"), (TORCH_RANGE, "torchvision")),
    bare=("monailabel==0.8.5", "pydicom-seg==0.4.1"),
    afterwards=("monai_semgan.label_app.pydicom_compat",),
)
"""MONAI Label imports torchvision, and asks for older packages than it can work with: docs/label_server.md."""

SLICER = Environment(
    ".venv-slicer",
    package=False,
    requirements="slicer_extension/requirements-test.txt",
    files=("slicer_extension/requirements-test.txt", "scripts/environment.py"),
)
"""The core of 3D Slicer without its window, Qt, and a browser's driver: for tests of the extension."""


DOCS = Environment(
    ".venv-docs",
    package=False,
    requirements="docs/requirements.txt",
    files=("docs/requirements.txt", "scripts/environment.py"),
)
"""Makes pages of text and docstrings, without importing the package; the gallery runs in CORE."""


def prepare(extra: str = "", environment: Environment = CORE) -> Path:
    """Make an environment, or complete it, and return its interpreter.

    Args:
        extra: optional part of the package to install too, for example `test`.
        environment: which one.
    """
    if sys.version_info < (3, 10):  # noqa: UP036 - this file runs before any installer has looked
        sys.exit(f"error: Python {platform.python_version()} is too old; use Python 3.10 or later")
    python, stamp = environment.python, environment.folder / STAMP
    wanted = _fingerprint(environment)
    installed = stamp.read_text(encoding="ascii").split() if stamp.exists() and python.exists() else []
    if installed[:1] == [wanted] and (not extra or extra in installed):
        return python
    known = installed[1:] if installed[:1] == [wanted] else []
    extras = sorted({name for name in (*known, extra) if name})
    if not python.exists():
        _make(environment)
    if environment.torch:
        _install_torch(environment)
    print(f"installing into {environment.name} (once, a few minutes) ...", flush=True)
    steps = [["install", "--no-deps", *environment.bare]] if environment.bare else []
    if environment.requirements:
        steps.append(["install", "--requirement", environment.requirements])
    if environment.package:
        steps.append(["install", "--editable", f".[{','.join(extras)}]" if extras else "."])
    if any(_pip(python, *step) != 0 for step in steps):
        sys.exit("error: the installation failed; see pip's messages above (is there a network connection?)")
    for module in environment.afterwards:
        subprocess.run([str(python), "-m", module], cwd=REPOSITORY, check=True)
    stamp.write_text(" ".join([wanted, *extras]) + "\n", encoding="ascii")
    return python


def _fingerprint(environment: Environment) -> str:
    digest = hashlib.sha256(platform.python_version().encode() + str(REPOSITORY).encode())
    for name in environment.files:
        digest.update((REPOSITORY / name).read_bytes())
    return digest.hexdigest()[:16]


def _make(environment: Environment) -> None:
    print(f"making the virtual environment {environment.name} ...", flush=True)
    shutil.rmtree(environment.folder, ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "venv", str(environment.folder)]).returncode != 0:
        shutil.rmtree(environment.folder, ignore_errors=True)
        sys.exit("error: no virtual environment could be made; on Debian or Ubuntu: sudo apt install python3-venv")


def _install_torch(environment: Environment) -> None:
    """PyTorch in its CPU build, several gigabytes smaller, unless there is an NVIDIA GPU."""
    modules = "; ".join(f"import {one.split('=')[0].split('>')[0]}" for one in environment.torch[0])
    if subprocess.run([str(environment.python), "-c", modules], stderr=subprocess.DEVNULL).returncode == 0:
        return
    gpu = has_nvidia_gpu()
    print(f"installing PyTorch ({'with CUDA' if gpu else 'for the CPU'}) ...", flush=True)
    small = not gpu and sys.platform == "linux"
    attempts = torch_attempts(environment.torch, small)
    for number, attempt in enumerate(attempts):
        if number and CPU_INDEX in attempts[number - 1] and CPU_INDEX not in attempt:
            print("no CPU build could be had: taking what the usual indexes have, which may be larger", flush=True)
        if _pip(environment.python, *attempt, quiet_errors=number + 1 < len(attempts)) == 0:
            if small and _has_cuda(environment.python):
                print("note: PyTorch came in its CUDA build, some 3 GB that are not needed here; it works", flush=True)
            return
    sys.exit("error: PyTorch could not be installed; see pip's messages above (is there a network connection?)")


def torch_attempts(wanted: tuple[tuple[str, ...], ...], small: bool) -> list[list[str]]:
    """Return what pip is told, one attempt after the other.

    A CPU build is asked for by its local version where there is one release to ask for: pip's own settings may name
    further indexes, whose builds of the same release would do as well.

    Args:
        wanted: requirements, one attempt after the other.
        small: whether CPU builds are to be tried first.
    """
    attempts = [["install", *one] for one in wanted]
    if not small:
        return attempts
    # without dependencies: these come from the usual index together with the package
    cpu = ["install", "--no-deps", "--timeout", "15", "--retries", "1", "--index-url", CPU_INDEX]
    local = [[f"{name}+cpu" for name in one] for one in wanted if all("==" in name for name in one)]
    return [[*cpu, *one] for one in (*local, *wanted)] + attempts


def _has_cuda(python: Path) -> bool:
    code = "import sys, torch; sys.exit(torch.version.cuda is None)"
    return subprocess.run([str(python), "-c", code], stderr=subprocess.DEVNULL).returncode == 0


def has_nvidia_gpu() -> bool:
    """Whether the driver's own tool lists a GPU."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, encoding="utf-8", errors="replace", timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def _pip(python: Path, *arguments: str, quiet_errors: bool = False) -> int:
    command = [str(python), "-m", "pip", *arguments, "--disable-pip-version-check"]
    errors = subprocess.DEVNULL if quiet_errors else None
    return subprocess.run(command, cwd=REPOSITORY, stderr=errors).returncode
