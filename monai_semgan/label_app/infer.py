"""Infer tasks of MONAI Label: the package's segmentation under the server's terms."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from monai_semgan.errors import SemganError

if TYPE_CHECKING:
    from monai_semgan.bundle import Bundle

MODES = {
    "preview": "feed-forward, seconds",
    "invert": "latent codes optimised until they render the slices, minutes on a CPU",
    "refine": "preview and inversion together, minutes on a CPU",
}
EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha")


class Model:
    """A bundle that is loaded when it is first used, by one request at a time.

    Args:
        folder: the bundle; the one that comes with the package when left out.
        device: where it runs.
    """

    def __init__(self, folder: str | None = None, device: str = "auto") -> None:
        from monai_semgan.bundle import METADATA, bundle_folder, organ_labels, read_metadata

        self.folder = bundle_folder(folder)
        self.labels = organ_labels(read_metadata(self.folder), self.folder / METADATA)
        self.device = device
        self.lock = threading.Lock()
        self._bundle: Bundle | None = None

    def load(self) -> Bundle:
        """The bundle."""
        from monai_semgan.bundle import load_bundle

        if self._bundle is None:
            self._bundle = load_bundle(self.folder, self.device)
        return self._bundle


def infer_tasks(conf: Mapping[str, str]) -> dict[str, InferTask]:
    """The tasks `semgan_preview`, `semgan_invert` and `semgan_refine`, which share one model.

    Args:
        conf: `bundle` and `device` of the server's `--conf`.
    """
    model = Model(conf.get("bundle"), conf.get("device", "auto"))
    return {f"semgan_{mode}": SemganInferTask(model, mode) for mode in MODES}


class SemganInferTask(InferTask):
    """Segments a volume.

    Args:
        model: the model.
        mode: one of `MODES`.
    """

    def __init__(self, model: Model, mode: str) -> None:
        names = {name: index for index, name in model.labels.items()}
        super().__init__(InferType.SEGMENTATION, names, 3, f"{MODES[mode]}. Research use only.")
        self.model, self.mode = model, mode

    def is_valid(self) -> bool:
        """Always: a bundle without weights has stopped the server's start."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Segment the image of a request.

        Args:
            request: `image` (path); optional `result_extension`, `steps`, `labels` (names), `maps` (bool).

        Returns:
            A file with the label on the image's grid, and what `results.describe` tells.

        Raises:
            SemganError: if the image cannot be read or a value makes no sense.
        """
        from monai_semgan.data.terminology import Segments
        from monai_semgan.data.volume import read_volume, write_label
        from monai_semgan.label_app.results import describe
        from monai_semgan.maps import write_maps
        from monai_semgan.segmentation import parse_labels, segment_volume

        started = time.perf_counter()
        extension = _extension(request)
        volume = read_volume(request["image"])
        read = time.perf_counter()
        with self.model.lock:
            bundle = self.model.load()
            chosen = parse_labels(request["labels"], bundle.labels) if request.get("labels") else list(bundle.labels)
            found = segment_volume(volume, bundle, self.mode, labels=chosen, steps=request.get("steps"))
        segmented = time.perf_counter()
        folder = Path(tempfile.mkdtemp(prefix="semgan_"))
        names = {index: bundle.labels[index] for index in chosen}
        label = folder.with_name(f"{folder.name}{extension}")
        write_label(found.label, volume, label, Segments(names, str(bundle.metadata.get("name", "")), ""))
        params = describe(found, volume, bundle, names)
        if request.get("maps"):
            write_maps(found, volume, {}, folder)
            params["maps_folder"] = str(folder)
        else:
            folder.rmdir()
        times = {"pre": read - started, "infer": segmented - read, "post": time.perf_counter() - segmented}
        times["total"] = sum(times.values())
        params["latencies"] = {name: round(value, 3) for name, value in times.items()}
        return str(label), params


def _extension(request: Mapping[str, Any]) -> str:
    extension = request.get("result_extension") or ".nii.gz"
    if extension not in EXTENSIONS:
        raise SemganError(f"unknown result_extension {extension!r}", remedy=f"use {', '.join(EXTENSIONS)}")
    return str(extension)
