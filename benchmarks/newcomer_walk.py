"""Which modules of ours does a newcomer enter, from `semgan segment SCAN --output OUT` to the written label?

    python benchmarks/newcomer_walk.py                   # a phantom made in code
    python benchmarks/newcomer_walk.py SCAN.nii.gz --calls

Runs the command in this process (preview, defaults) and notes every call of a function of ours until the label takes
its name. What runs while a module is imported does not count: nobody follows it. Modules are printed in the order in
which they are entered first, those on the path with a star. Two numbers:

* **entered**: all modules in which a function of ours was called, whatever it was for.
* **on the path**: those that the scan passes through on its way to the label. A call is on the path if the label file
  takes its name below it; or if the call above it is on the path and voxels come out of it, that is, it returns an
  array or tensor of at least three axes and 4,096 elements (matrices have two), or a tuple, list or data class that
  holds one. The two lowest floors of the house (errors, organs, modalities, losses, utils) never count. So what answers
  a question on the side is entered, but not on the path: parsing of arguments, loading the model, checks, recognition
  of formats, where the body is and where slices go (`slicing.body` and `planning` give places, no voxels), weights of
  the interpolation, volumes in ml, the out-of-domain score.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

LOWEST = ("errors", "organs", "modalities", "losses", "utils")
MANY, AXES = 64 * 64, 3
FUNCTION = 0x1
"""Flag of code that is neither a module's nor a class's body (CO_OPTIMIZED)."""


@dataclasses.dataclass(eq=False)
class Call:
    """One call of a function of ours.

    Attributes:
        module: where the function stands.
        function: its name.
        caller: the call of ours that made it.
        gives: whether voxels come out of it.
        on_path: whether the scan passes through.
    """

    module: str
    function: str
    caller: Call | None
    gives: bool = False
    on_path: bool = False


class Walk:
    """Note calls until a file takes its name; for `sys.setprofile` and `sys.addaudithook`.

    Args:
        package: folder whose functions are ours.
        target: the file.
    """

    def __init__(self, package: Path, target: Path) -> None:
        self.root, self.package, self.target = str(package.parent), str(package), str(target)
        self.calls: list[Call] = []
        self.stack: list[tuple[FrameType, Call | None]] = []
        self.over = False

    def profile(self, frame: FrameType, event: str, value: Any) -> None:
        """Take an event of the interpreter."""
        if event not in ("call", "return") or self.over or not frame.f_code.co_filename.startswith(self.package):
            return
        if event == "return":
            if self.stack and self.stack[-1][0] is frame:
                call = self.stack.pop()[1]
                if call is not None:
                    call.gives = call.gives or holds_voxels(value)
            return
        above = self.stack[-1][1] if self.stack else None
        importing = bool(self.stack) and above is None
        call = None
        if frame.f_code.co_flags & FUNCTION and not importing:
            call = Call(self.module(frame.f_code.co_filename), frame.f_code.co_name, above)
            self.calls.append(call)
        self.stack.append((frame, call))

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take an event of the system: the label takes its name by being moved there."""
        if event == "os.rename" and not self.over and str(arguments[1]) == self.target:
            for _, call in self.stack:
                if call is not None:
                    call.on_path = True
            self.over = True

    def module(self, filename: str) -> str:
        """Name of the module in a file."""
        parts = Path(filename).relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def holds_voxels(value: Any, depth: int = 2) -> bool:
    """Whether a value is a large array or tensor of three axes, or a tuple, list or data class that holds one."""
    if isinstance(value, np.ndarray):
        return value.ndim >= AXES and value.size >= MANY
    if type(value).__name__ == "Tensor":
        return value.ndim >= AXES and int(value.numel()) >= MANY
    if depth and isinstance(value, (tuple, list)):
        return any(holds_voxels(item, depth - 1) for item in value[:20])
    if depth and dataclasses.is_dataclass(value) and not isinstance(value, type):
        return any(holds_voxels(item, depth - 1) for item in vars(value).values())
    return False


def lowest(module: str) -> bool:
    """Whether a module lies on the two lowest floors."""
    return module.split(".")[1:2] in [[name] for name in LOWEST]


def phantom(folder: Path) -> Path:
    """A patient made in code."""
    from tests.phantoms import grid, patient, save_nifti

    affine, shape = grid()
    return save_nifti(folder / "scan.nii.gz", patient(affine, shape, seed=0).array, affine)


def walk(scan: Path | None, bundle: Path | None = None) -> list[Call]:
    """Segment with the defaults; all calls until the label is there.

    Raises:
        SystemExit: if it fails.
    """
    import monai_semgan
    import monai_semgan.cli as cli

    assert monai_semgan.__file__
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        label = folder / "label.nii.gz"
        found = Walk(Path(monai_semgan.__file__).parent, label)
        arguments = ["segment", str(scan or phantom(folder)), "--output", str(label)]
        arguments += ["--bundle", str(bundle)] if bundle else []
        sys.addaudithook(found.audit)
        sys.setprofile(found.profile)
        try:
            code = cli.main(arguments)
        finally:
            sys.setprofile(None)
        if code or not found.over:
            raise SystemExit(code or "the label was not seen to take its name")
    for call in found.calls:  # the caller always stands before what it calls
        call.on_path = call.on_path or (call.gives and call.caller is not None and call.caller.on_path)
    return found.calls


def main() -> None:
    """Walk, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path, nargs="?", help="default: a phantom")
    parser.add_argument("--bundle", type=Path, help="default: the shipped one")
    parser.add_argument("--calls", action="store_true", help="also print the functions of every module")
    arguments = parser.parse_args()
    calls = walk(arguments.scan, arguments.bundle)
    entered = list(dict.fromkeys(call.module for call in calls))
    passed = list(dict.fromkeys(call.module for call in calls if call.on_path and not lowest(call.module)))
    for module in entered:
        print(f"{'*' if module in passed else ' '} {module}")
        if arguments.calls:
            functions = {call.function: call.on_path for call in calls if call.module == module}
            functions |= {call.function: True for call in calls if call.module == module and call.on_path}
            print(*(f"      {'*' if on_path else ' '} {name}" for name, on_path in functions.items()), sep="\n")
    below = [module for module in passed if not module.endswith("cli.program")]  # which only calls the subcommand
    path = f"{len(passed)}, {len(below)} from the subcommand on"
    print(f"entered: {len(entered)} modules; on the path of the scan (*): {path}")


if __name__ == "__main__":
    main()
