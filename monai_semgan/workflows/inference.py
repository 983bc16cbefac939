"""What the configurations of a bundle call when `monai.bundle` runs them."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_semgan.bundle.agreement import check_parts
from monai_semgan.bundle.labels import METADATA, learnt_modalities, organ_labels, read_metadata
from monai_semgan.bundle.pending import finish_pending
from monai_semgan.errors import SemganError
from monai_semgan.io.formats import image2d_endings, marked_as_dicom, volume_endings
from monai_semgan.networks.weights import load_into, load_weights


def find_scans(dataset_dir: str | Path) -> list[dict[str, str]]:
    """Entries `{"image": path}` of a MONAI data set.

    Args:
        dataset_dir: a file, a pattern such as `scans/*.nii.gz`, a folder of volumes, a folder of one DICOM series, or
            a folder of such folders.

    Raises:
        SemganError: if there is no such place or no image in it; the message names the configuration's id.
    """
    place = Path(dataset_dir).expanduser()
    if glob.has_magic(str(place)) and not place.exists():
        found = [Path(name) for name in sorted(glob.glob(str(place), recursive=True))]
    elif place.is_dir():
        found = _scans_in(place)
    elif place.is_file():
        found = [place]
    else:
        raise SemganError("dataset_dir: no such folder", remedy="give --dataset_dir FOLDER", path=place)
    if not found:
        problem = "dataset_dir: no images in it"
        raise SemganError(problem, remedy="give --dataset_dir a folder of NIfTI files or DICOM series", path=place)
    return [{"image": str(path)} for path in found]


def _scans_in(folder: Path) -> list[Path]:
    suffixes = (*volume_endings(), *image2d_endings())
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    volumes = [path for path in files if path.name.lower().endswith(suffixes)]
    if volumes:
        return volumes
    if any(marked_as_dicom(path) for path in files):
        return [folder]
    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    return [path for path in inner if any(marked_as_dicom(file) for file in path.iterdir() if file.is_file())]


def label_names(bundle_root: str | Path) -> dict[int, str]:
    """Organ name by label id, as the bundle's metadata tells.

    Raises:
        SemganError: if the metadata is missing or does not tell.
    """
    return organ_labels(read_metadata(Path(bundle_root)), Path(bundle_root) / METADATA)


def check_agreement(network: Any, preprocessing: Any, labels: Mapping[int, str], bundle_root: str | Path) -> None:
    """Refuse a bundle whose parts contradict each other.

    Raises:
        SemganError: naming the ids that disagree.
    """
    folder, metadata = Path(bundle_root), read_metadata(Path(bundle_root))
    check_parts(network, preprocessing, labels, learnt_modalities(metadata), folder)
    image, generator = metadata["network_data_format"]["inputs"]["image"], network.generator
    facts = (
        ("inputs#image#spatial_shape", list(image["spatial_shape"]), "slices#size", [preprocessing.size] * 2),
        ("inputs#image#num_channels", image["num_channels"], "generator_def#image_channels", generator.image_channels),
    )
    for name, value, other, expected in facts:
        if value != expected:
            problem = f"{name} is {value}, {other} says {expected}"
            raise SemganError(problem, remedy="make metadata.json and inference.json agree", path=folder / METADATA)


def load_network(network: Any, weights: str | Path) -> None:
    """Load a bundle's weights into `network_def`, strictly, and make it ready for use.

    Raises:
        SemganError: if the file is missing or holds weights of another network; the message names the ids.
    """
    folder = Path(weights).parent.parent
    if finish_pending(folder):
        problem = "a change of this bundle was stopped half-way; it is finished now"
        raise SemganError(problem, remedy="run again", path=folder)
    try:
        load_into(network, load_weights(weights), weights)
    except SemganError as error:
        remedy = "give --weights FILE of a network like network_def, or train the bundle"
        raise SemganError(f"weights: {error.problem}", remedy=remedy, path=weights) from error
    network.eval()
