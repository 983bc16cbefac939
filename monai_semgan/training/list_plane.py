"""In which plane the volumes of a data list are stored, where no plan of the run tells it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from monai_semgan.data.datalist import DataList, Entry
from monai_semgan.io.header_grid import read_grid
from monai_semgan.slicing.planes import AXIAL, PlaneProposal, propose_plane
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.training.training_settings import TrainSettings

logger = logging.getLogger(__name__)


def proposed_plane(entries: Sequence[Entry]) -> PlaneProposal:
    """Propose in which plane volumes should be cut, from the headers of their files.

    Args:
        entries: of a data list.

    Raises:
        SemganError: if a file cannot be read.
    """
    grids = [read_grid(entry.image) for entry in entries]
    return propose_plane([grid.affine for grid in grids], [grid.array.shape[:3] for grid in grids])


def usual_plane(datalist: DataList, preprocessing: Preprocessing, settings: TrainSettings) -> str:
    """The plane for a run that begins anew: that which the files suggest, or with given weights the axial one.

    Args:
        datalist: of the run.
        preprocessing: how its slices are cut otherwise.
        settings: of the run.
    """
    if preprocessing.field_of_view == "image" or not datalist.training:
        return preprocessing.plane
    found = proposed_plane(datalist.training)
    plane = preprocessing.plane if settings.sources else found.plane
    tell_plane(found, plane)
    return plane


def tell_plane(found: PlaneProposal, plane: str) -> None:
    """Tell what is unusual about the plane in which volumes are cut.

    Args:
        found: what their files suggest.
        plane: `axial` or `stored`.
    """
    if found.plane != plane:
        logger.warning("slices are cut in the %s plane, --plane (slices#plane) chooses; but see:", plane)
    if found.plane != AXIAL or plane != AXIAL:
        logger.warning("%s", found.reason)
    for doubt in found.doubts:
        logger.warning("%s", doubt)
