"""`semgan info`: what is installed, on what it runs, and how good the model is; of a scan or archive, what it is."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_semgan._version import __version__
from monai_semgan.cli.archive_options import archive_options, scan_source
from monai_semgan.cli.arguments import model_options, say
from monai_semgan.errors import SemganError
from monai_semgan.utils.cores import processor_name, usable_cores
from monai_semgan.utils.json_text import json_text
from monai_semgan.utils.threads import prepare_threads, waiting

LIBRARIES = ("torch", "monai", "numpy", "nibabel", "scipy", "pytorch-ignite")


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "info",
        parents=[common],
        help="versions, device, model and its measured quality; or what a scan or archive is",
        description="Show versions, device, model and its measured quality; with SCAN, what the scan is.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "scan",
        type=scan_source,
        nargs="?",
        metavar="SCAN",
        help="tell what this scan is, and the series of a DICOM folder, or those of an archive: dicomweb:URL",
    )
    parser.add_argument("--series", metavar="ID", help="with SCAN: the series to look at, such as 7 or 7/echo=2")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    model_options(parser)
    archive_options(parser, sending=False)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    if arguments.scan is not None and not isinstance(arguments.scan, Path):
        from monai_semgan.cli.archive_facts import tell_archive

        return tell_archive(arguments)
    if arguments.scan is not None:
        from monai_semgan.cli.scan_facts import tell_scan

        return tell_scan(arguments)
    if arguments.series is not None:
        raise SemganError("--series is for a scan", remedy="give the scan: semgan info SCAN --series ID")
    facts = gather(arguments.bundle, arguments.device)
    say(json_text(facts, indent=2) if arguments.json else as_text(facts))
    return 0


def gather(folder: Path | None, device_name: str) -> dict[str, Any]:
    """Everything that `info` tells, in JSON's types."""
    choice = prepare_threads()  # before anything loads PyTorch
    from monai_semgan.bundle.digest import weights_digest
    from monai_semgan.bundle.labels import (
        CONFIG,
        METADATA,
        bundle_folder,
        dice_by_label,
        learnt_modalities,
        organ_labels,
        read_json,
        read_metadata,
        read_record,
    )
    from monai_semgan.bundle.modes import modes_of
    from monai_semgan.utils.device import bfloat16_reason, device_reason, fast_bfloat16, select_device

    path = bundle_folder(folder)
    metadata, record = read_metadata(path), read_record(path)
    labels = organ_labels(metadata, path / METADATA)
    device = select_device(device_name)
    modes = modes_of(read_json(path / CONFIG))
    return {
        "semgan": __version__,
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "device": {
            "name": str(device),
            "hardware": _hardware(device),
            "reason": device_reason(device_name, device),
            "bfloat16": fast_bfloat16(device),
            "bfloat16_reason": bfloat16_reason(device),
        },
        "processor": {
            "name": processor_name(),
            "cores": usable_cores(),
            "threads": choice.count,
            "threads_reason": choice.reason,
            "waiting": waiting(),
        },
        "bundle": {
            "folder": str(path),
            "name": metadata.get("name", path.name),
            "version": metadata.get("version", ""),
            "modalities": list(learnt_modalities(metadata)),
            "labels": {str(index): name for index, name in labels.items()},
            "dice_of_labels": {str(index): figures for index, figures in dice_by_label(record, labels).items()},
            "weights_sha256": weights_digest(path),
        },
        "modes": list(modes),
        "dice": record.get("dice", {}),
    }


def as_text(facts: Mapping[str, Any]) -> str:
    """The facts as lines for people."""
    device, bundle, processor = facts["device"], facts["bundle"], facts["processor"]
    lines = [
        f"semgan {facts['semgan']}, Python {facts['python']}",
        "libraries: " + ", ".join(f"{name} {version}" for name, version in facts["libraries"].items()),
        f"device: {device['name']} ({device['hardware']}), {device['reason']}",
        f"  arithmetic: {device['bfloat16_reason']}",
        f"processor: {processor['name']}, cores: {processor['cores']}",
        f"  threads: {processor['threads']} ({processor['threads_reason']}); how they wait: {processor['waiting']}",
        f"model: {bundle['name']} {bundle['version']}, learnt from {' and '.join(bundle['modalities']) or '?'}",
        f"  folder: {bundle['folder']}",
        f"  weights: {bundle['weights_sha256'][:16] or 'none'}",
        *_mode_lines(facts["modes"]),
        *_label_lines(bundle["labels"], bundle["dice_of_labels"]),
    ]
    return "\n".join([*lines, *_dice_lines(facts["dice"])])


def _mode_lines(modes: Sequence[str]) -> list[str]:
    """A line for a model that cannot do everything."""
    from monai_semgan.bundle.modes import MODES, STUDENT_ALONE

    return [] if len(modes) == len(MODES) else [f"  holds {STUDENT_ALONE}"]


def _label_lines(labels: Mapping[str, str], dice: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A line for every structure, with the Dice that was measured for it."""
    if not dice:
        return ["  labels: " + ", ".join(f"{index} {name}" for index, name in labels.items())]
    width = max(len(name) for name in labels.values())
    lines = ["  labels, with the measured Dice of the preview:"]
    for index, name in labels.items():
        figures = ", ".join(f"{modality} {value:.2f}" for modality, value in dice.get(index, {}).items())
        lines.append(f"    {index:>2} {name:<{width}}  {figures or 'not measured'}")
    return lines


def _dice_lines(dice: Mapping[str, Any], indent: int = 2) -> list[str]:
    """Nested figures, one line for every innermost group."""
    if not dice:
        return ["measured Dice: not recorded"] if indent == 2 else []
    lines = ["measured Dice:"] if indent == 2 else []
    for name, value in dice.items():
        if isinstance(value, Mapping) and any(isinstance(v, Mapping) for v in value.values()):
            lines += [f"{' ' * indent}{name}:", *_dice_lines(value, indent + 2)]
        elif isinstance(value, Mapping):
            figures = ", ".join(f"{key} {_figure(entry)}" for key, entry in value.items())
            lines.append(f"{' ' * indent}{name}: {figures}")
        else:
            lines.append(f"{' ' * indent}{name}: {_figure(value)}")
    return lines


def _figure(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _hardware(device: Any) -> str:
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{platform.machine()}, {torch.get_num_threads()} threads"
