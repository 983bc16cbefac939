"""Data sets of nnU-Net as data lists: `dataset.json` beside `imagesTr`, `labelsTr` and `imagesTs`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError
from monai_semgan.io.formats import volume_endings
from monai_semgan.modalities import canonical_modality

CHANNEL = "_0000"
"""What the only channel of an image is called, before the ending."""

FOLDERS = {"training": ("imagesTr", "labelsTr"), "test": ("imagesTs", "labelsTs")}


def is_nnunet(content: Mapping[str, Any]) -> bool:
    """Whether a JSON file describes a data set whose files have to be looked for."""
    return "training" not in content and ("file_ending" in content or "numTraining" in content)


def nnunet_sections(content: Mapping[str, Any], path: Path, base: Path) -> dict[str, Any]:
    """Sections of a data list from what stands in `dataset.json`, and from the files in its folder.

    Args:
        content: of the file.
        path: of the file.
        base: folder of the data set.

    Raises:
        SemganError: it has several channels, or not the number of training cases that it tells.
    """
    channels = content.get("channel_names") or content.get("modality") or {"0": ""}
    if not isinstance(channels, Mapping) or len(channels) != 1:
        raise SemganError(
            f"describes images of {len(channels)} channels, a scan has one",
            remedy="make a data list of the files of one channel",
            path=path,
        )
    ending = str(content.get("file_ending") or ".nii.gz")
    modality = _modality(next(iter(channels.values())))
    sections = {
        section: [{**entry, **modality} for entry in _cases(base, images, labels, ending)]
        for section, (images, labels) in FOLDERS.items()
    }
    if isinstance(content.get("dataset"), Mapping):
        listed = content["dataset"].items()
        sections["training"] = [{**_listed(str(case), files, path), **modality} for case, files in listed]
    told, found = content.get("numTraining"), len(sections["training"])
    if isinstance(told, int) and told != found:
        problem = f'tells of {told} training cases ("numTraining"), {found} are there'
        raise SemganError(problem, remedy="copy the data set again, or correct the number", path=path)
    return {**content, **sections}


def with_channel(image: Path) -> Path:
    """The file of an image that is listed without its channel, as in the `dataset.json` of the first nnU-Net."""
    ending = next((ending for ending in volume_endings() if image.name.lower().endswith(ending)), "")
    named = image.with_name(image.name[: len(image.name) - len(ending)] + CHANNEL + ending)
    return named if not image.exists() and named.exists() else image


def _cases(base: Path, images: str, labels: str, ending: str) -> Iterator[dict[str, str]]:
    folder = base / images
    labelled = (base / labels).is_dir()
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        if file.name.startswith(".") or not file.name.endswith(CHANNEL + ending):
            continue
        case = file.name.removesuffix(CHANNEL + ending)
        label = {"label": f"{labels}/{case}{ending}"} if labelled else {}
        yield {"image": f"{images}/{file.name}", "patient": case, **label}


def _listed(case: str, files: Any, path: Path) -> dict[str, str]:
    """A case whose files are listed, wherever they lie."""
    images = files.get("images") if isinstance(files, Mapping) else None
    if not isinstance(images, list) or len(images) != 1 or not isinstance(files.get("label"), str):
        problem = f'"dataset" does not tell one image and a label of {case}'
        raise SemganError(problem, remedy='write it as {"images": ["x.nii.gz"], "label": "y.nii.gz"}', path=path)
    return {"image": str(images[0]), "patient": case, "label": files["label"]}


def _modality(name: Any) -> dict[str, str]:
    """CT or MR, where the name of the channel is one of these; others, such as T1, are guessed from the values."""
    try:
        return {"modality": canonical_modality(str(name))} if name else {}
    except SemganError:
        return {}
