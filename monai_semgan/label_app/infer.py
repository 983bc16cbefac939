"""Infer tasks of MONAI Label: the package's segmentation under the server's terms."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from monai_semgan.label_app.image_ids import IMAGE_STATE, find_image, image_state
from monai_semgan.label_app.infer_request import InferRequest
from monai_semgan.label_app.kept_maps import keep_maps
from monai_semgan.label_app.label_facts import MODEL, SAVED_BY
from monai_semgan.utils.threads import refresh_threads

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume

MODES = {
    "preview": "feed-forward, seconds",
    "invert": "latent codes optimised until they render the slices, minutes on a CPU",
    "refine": "preview and inversion together, minutes on a CPU",
}


class Engine(Protocol):
    """What segments for the tasks: this process, or the worker of the job API."""

    labels: dict[int, str]

    def segment(self, image: str, request: InferRequest) -> tuple[str, dict[str, Any]]:
        """Return a file with the label of an image, and the facts; `maps_folder` among them if maps were asked for."""


class LocalEngine:
    """A bundle in this process, loaded when it is first used, by one request at a time.

    Args:
        folder: the bundle; the one that comes with the package when left out.
        device: where it runs.
    """

    def __init__(self, folder: Path | str | None = None, device: str = "auto") -> None:
        self.device = device
        self._lock = threading.Lock()
        self._bundle: Bundle | None = None
        self.use(folder)

    def use(self, folder: Path | str | None) -> None:
        """Take another bundle from now on; what runs keeps the one before.

        Raises:
            SemganError: it is missing or broken.
        """
        from monai_semgan.bundle.labels import (
            CONFIG,
            METADATA,
            bundle_folder,
            dice_by_label,
            organ_labels,
            read_json,
            read_metadata,
            read_record,
        )
        from monai_semgan.bundle.modes import modes_of

        self.folder = bundle_folder(folder)
        self.labels = organ_labels(read_metadata(self.folder), self.folder / METADATA)
        self.dice = dice_by_label(read_record(self.folder), self.labels)
        self.modes = modes_of(read_json(self.folder / CONFIG))
        with self._lock:
            self._bundle = None

    def load(self) -> Bundle:
        """Return the bundle."""
        from monai_semgan.bundle.load import load_bundle

        with self._lock:
            if self._bundle is None:
                self._bundle = load_bundle(self.folder, self.device)
            return self._bundle

    def segment(self, image: str, request: InferRequest) -> tuple[str, dict[str, Any]]:
        """Segment a file here and now.

        Raises:
            SemganError: the image cannot be read, or a value makes no sense.
        """
        from monai_semgan.inference.segmentation import segment
        from monai_semgan.outputs.description import describe
        from monai_semgan.outputs.write import OutputFiles, chosen_labels, segment_file

        folder = Path(tempfile.mkdtemp(prefix="semgan_"))
        label, maps = folder.with_name(f"{folder.name}{request.extension}"), folder if request.maps else None
        outputs = OutputFiles(label, maps, names=request.labels, probabilities=False)

        def segment_alone(volume: Volume, bundle: Bundle) -> Segmentation:
            with self._lock:
                refresh_threads()
                return segment(volume, bundle, request.mode, labels=request.labels or None, steps=request.steps)

        try:
            done = segment_file(Path(image), self.load, segment_alone, outputs)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            label.unlink(missing_ok=True)
            raise
        params = describe(done.segmentation, done.volume, done.bundle, chosen_labels(done.bundle, request.labels))
        if request.maps:
            params["maps_folder"] = str(folder)
        else:
            folder.rmdir()
        params["latencies"] = dict(done.latencies)
        return str(label), params


def infer_tasks(
    engine: Engine, dice: Mapping[int, Mapping[str, float]] | None = None, modes: Collection[str] = tuple(MODES)
) -> dict[str, InferTask]:
    """Return the tasks `semgan_preview`, `semgan_invert` and `semgan_refine`, which share one engine.

    Args:
        engine: what does it.
        dice: measured for the preview, by label id and modality; their descriptions tell it.
        modes: what the model can do; a student alone has the preview only.
    """
    return {f"semgan_{mode}": SemganInferTask(engine, mode, dice) for mode in MODES if mode in modes}


class SemganInferTask(InferTask):
    """Segments a volume.

    Args:
        engine: what does it.
        mode: one of `MODES`.
        dice: measured for the preview, by label id and modality.
    """

    def __init__(self, engine: Engine, mode: str, dice: Mapping[int, Mapping[str, float]] | None = None) -> None:
        names = {name: index for index, name in engine.labels.items()}
        super().__init__(InferType.SEGMENTATION, names, 3, described(MODES[mode], engine.labels, dice or {}))
        self.engine, self.mode = engine, mode

    def is_valid(self) -> bool:
        """Say yes: a bundle without weights has stopped the server's start."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Segment the image of a request.

        Args:
            request: `image` (path) and what `InferRequest.from_params` reads.

        Returns:
            A file with the label on the image's grid, and what `outputs.description.describe` tells.

        Raises:
            SemganError: the image cannot be read or a value makes no sense.
        """
        return self.engine.segment(str(request["image"]), InferRequest.from_params(self.mode, request))


def described(mode: str, labels: Mapping[int, str], dice: Mapping[int, Mapping[str, float]]) -> str:
    """Describe a task: how it works, and how well the preview finds every structure.

    Args:
        mode: in words.
        labels: organ name by id.
        dice: measured, by label id and modality.
    """
    modalities = dict.fromkeys(modality for figures in dice.values() for modality in figures)
    measured = [
        f"{modality}: {', '.join(f'{labels[i]} {d[modality]:.2f}' for i, d in dice.items() if modality in d)}"
        for modality in modalities
    ]
    told = f" Measured Dice of the preview, {'; '.join(measured)}." if measured else ""
    return f"{mode}.{told} Research use only."


def run_infer(tasks: Mapping[str, InferTask], request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
    """Segment one image, as `MONAILabelApp.infer`; `maps` also saves the extra maps as labels with tags of their own.

    Raises:
        MONAILabelException: there is no such model or image.
        SemganError: the image cannot be read, a value makes no sense, or a reader's label has the tag.
    """
    task = tasks.get(str(request.get("model")))
    if task is None:
        raise MONAILabelException(MONAILabelError.INVALID_INPUT, f"unknown model; there are {', '.join(tasks)}")
    image, path = find_image(request.get("image"), datastore)
    origin = {SAVED_BY: MODEL, **({IMAGE_STATE: found} if (found := image_state(image, datastore)) else {})}
    tag = request.get("label_tag") or DefaultLabelTag.ORIGINAL.value
    saved = image is not None and bool(request.get("save_label"))
    if saved and hasattr(datastore, "check_model_may_save"):  # before minutes of work; DICOMweb has no such check
        datastore.check_model_may_save(image, tag)
    file, params = task({**request, "image": path})
    label = file
    if saved:
        label = datastore.save_label(image, file, tag, {"model": request["model"], "params": params, **origin})
    keep_maps(image, params, datastore, origin)
    return {"label": label, "tag": tag, "file": file, "params": params}
