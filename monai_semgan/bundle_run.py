"""What the configurations of a bundle call when `monai.bundle` runs them."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError


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
    from monai_semgan.data.formats import DICOM, READERS

    suffixes = tuple(suffix for suffix, reader in READERS.items() if reader != DICOM or suffix == ".zip")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    volumes = [path for path in files if path.name.lower().endswith(suffixes)]
    if volumes:
        return volumes
    if any(_is_dicom(path) for path in files):
        return [folder]
    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    return [path for path in inner if any(_is_dicom(file) for file in path.iterdir() if file.is_file())]


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def label_names(bundle_root: str | Path) -> dict[int, str]:
    """Organ name by label id, as the bundle's metadata tells.

    Raises:
        SemganError: if the metadata is missing or does not tell.
    """
    from monai_semgan.bundle import METADATA, organ_labels, read_metadata

    return organ_labels(read_metadata(Path(bundle_root)), Path(bundle_root) / METADATA)


def load_network(network: Any, weights: str | Path) -> None:
    """Load a bundle's weights into `network_def`, strictly, and make it ready for use.

    Raises:
        SemganError: if the file is missing or holds weights of another network.
    """
    from monai_semgan.networks.weights import load_into, load_weights

    load_into(network, load_weights(weights), weights)
    network.eval()
