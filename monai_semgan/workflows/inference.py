"""What the configurations of a bundle call when `monai.bundle` runs them."""

from __future__ import annotations

import glob
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_semgan.bundle.added_weights import load_all
from monai_semgan.bundle.agreement import check_parts
from monai_semgan.bundle.labels import METADATA, learnt_modalities, organ_labels, read_metadata
from monai_semgan.bundle.pending import finish_pending
from monai_semgan.data.scan_folder import LABEL_FOLDERS, ScanSearch
from monai_semgan.errors import SemganError
from monai_semgan.io.formats import image2d_endings, volume_endings
from monai_semgan.workflows.scan_dataset import with_names

logger = logging.getLogger(__name__)


def find_scans(dataset_dir: str | Path, pictures: bool | None = None) -> list[dict[str, str]]:
    """Entries `{"image": path, "name": name}` of a MONAI data set; every name is unique among them.

    What is a scan below a folder, and that labels beside scans are none, see `ScanSearch`; links are followed.

    Args:
        dataset_dir: a file, which is taken as it is; a folder, also of one DICOM series, or of folders of them; or a
            pattern such as `scans/*/ct.nii.gz`.
        pictures: whether the scans are single images (radiographs): pictures, and DICOM files each for itself. Unless
            it is False, pictures are taken beside volumes.

    Raises:
        SemganError: if there is no such place or no image in it; the message names the configuration's id.
    """
    place = Path(dataset_dir).expanduser()
    endings = (*volume_endings(), *(image2d_endings() if pictures is not False else ()))
    search = ScanSearch(endings, each_dicom_file=pictures is True, follow_links=True)
    if glob.has_magic(str(place)) and not place.exists():
        found = _matching(str(place), search)
    elif place.is_dir():
        found = search.scans(place)
    elif place.exists():
        found = [place]
    else:
        raise SemganError("dataset_dir: no such folder", remedy="give --dataset_dir FOLDER", path=place)
    if not found:
        problem = f"dataset_dir: no images in it{_left_out(search)}"
        raise SemganError(problem, remedy="give --dataset_dir a folder of NIfTI files or DICOM series", path=place)
    if search.ignored:
        logger.warning("%s: labels and maps are no scans, %d are left out", place, len(search.ignored))
    return with_names([{"image": str(path)} for path in found])


def _matching(pattern: str, search: ScanSearch) -> list[Path]:
    """Scans among and below what a pattern fits; each once."""
    found: dict[Path, None] = {}
    for path in map(Path, sorted(glob.glob(pattern, recursive=True))):
        wild = [part for part in path.parts if part not in Path(pattern).parts]
        if any(LABEL_FOLDERS.match(part) for part in wild):
            search.ignored.append(path)
        elif path.is_dir():
            found.update(dict.fromkeys(search.scans(path)))
        elif search.is_scan(path):
            found[path] = None
    series = {path for path in found if path.is_dir()}
    return sorted(path for path in found if series.isdisjoint(path.parents))


def _left_out(search: ScanSearch) -> str:
    names = ", ".join(path.name for path in search.ignored[:3])
    return f", only what is named like labels ({names})" if names else ""


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
    image = metadata["network_data_format"]["inputs"]["image"]
    facts = [("inputs#image#spatial_shape", list(image["spatial_shape"]), "slices#size", [preprocessing.size] * 2)]
    if network.renders:
        channels = network.generator.image_channels
        facts.append(("inputs#image#num_channels", image["num_channels"], "generator_def#image_channels", channels))
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
        load_all(network, Path(weights))
    except SemganError as error:
        remedy = "give --weights FILE of a network like network_def, or train the bundle"
        raise SemganError(f"weights: {error.problem}", remedy=remedy, path=weights) from error
    network.eval()
