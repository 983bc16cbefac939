"""A reader's turn at a server: open, preview, edit, submit, next sample, reload; and what became of the label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from SemGANLib.Scene import Geometry, VolumeExport
from SemGANLib.Scene.SegmentationImport import segment_ids
from SemGANLib.Server.Nrrd import Grid, decode

from tests.slicer_extension.nodes import merged, paint
from tests.slicer_extension.scan_files import read_nifti
from tests.slicer_extension.session import Session

JOB_SECONDS = 580.0


@dataclass(frozen=True)
class Turn:
    """What became of a label.

    Attributes:
        scan: axes of the file, such as `"LAS"`.
        opened: axes of the scan as Slicer has it.
        dice: of the stored label against the panel's, all structures together.
        moved: voxels that differ between the two.
        moved_reloaded: voxels that differ between the panel's and those that came back.
        on_own_grid: the stored label has the very axes of the scan's file.
        voxels: of the panel's label.
        following: id of the next sample.
        preview_seconds: from the click to the end.
    """

    image: str
    scan: str
    opened: str
    dice: float
    moved: int
    moved_reloaded: int
    on_own_grid: bool
    voxels: int
    following: str
    preview_seconds: float

    @property
    def problems(self) -> list[str]:
        """List what is not as it has to be."""
        checks = {
            "the label is empty": self.voxels > 0,
            "the stored label is another one": self.dice == 1.0 and self.moved == 0,
            "the label came back changed": self.moved_reloaded == 0,
            "the label is not stored on the scan's own grid": self.on_own_grid,
            "the next sample is the one that was just submitted": self.following != self.image,
        }
        return [problem for problem, right in checks.items() if not right]


def take_turn(session: Session, studies: Path, image: str, user: str = "Dr. Ä") -> Turn:
    """Go through the loop with an image of the server, `IMAGE.nii.gz` in the folder of studies."""
    import time

    scan = read_nifti((studies / f"{image}.nii.gz").read_bytes())
    volume = _opened(session, image)
    started = time.perf_counter()
    session.logic.preview(volume)
    run = session.finish(volume, JOB_SECONDS)
    seconds = time.perf_counter() - started
    assert run.phase == "done", run.text
    assert not any(view.phase in ("exporting", "uploading") for view in session.seen), "the server has it already"
    _edit(session, volume)
    panel = merged(session, volume)
    session.logic.submit(volume, user)
    _settle(session)
    assert session.messages[-1].level == "info", session.messages[-1].text
    stored = _stored_label(studies, image)
    in_panel = _in_order_of(scan, panel, Geometry.ijk_to_ras(volume))
    array = _in_order_of(scan, stored.array, stored.affine)
    session.logic.next_sample(reader=user)
    _settle(session)
    following = session.opened[-1].GetName() if session.opened[-1] is not volume else ""
    again = _opened(session, image)
    back = merged(session, again)
    return Turn(
        image=image,
        scan=axes(scan.affine),
        opened=axes(Geometry.ijk_to_ras(volume)),
        dice=_dice(array, in_panel),
        moved=int((array != in_panel).sum()),
        moved_reloaded=int((_in_order_of(scan, back, Geometry.ijk_to_ras(again)) != in_panel).sum()),
        on_own_grid=stored.array.shape == scan.array.shape and np.allclose(stored.affine, scan.affine, atol=1e-3),
        voxels=int((panel > 0).sum()),
        following=following,
        preview_seconds=seconds,
    )


def axes(affine: np.ndarray) -> str:
    """Name the directions of the axes, such as `"LAS"`."""
    names = []
    for axis in range(3):
        direction = affine[:3, axis]
        along = int(np.argmax(np.abs(direction)))
        names.append(("LR", "PA", "IS")[along][int(direction[along] > 0)])
    return "".join(names)


def _opened(session: Session, image: str) -> Any:
    session.logic.open_image(image)
    _settle(session)
    assert session.opened and session.opened[-1].GetName() == image, session.messages[-1:]
    return session.opened[-1]


def _settle(session: Session) -> None:
    """Wait for work, and for what that has begun."""
    for _ in range(3):
        session.wait(lambda: session.runner.open == 0, JOB_SECONDS)


def _edit(session: Session, volume: Any) -> None:
    """Correct the last structure as a reader does: a piece that has no symmetry is drawn, another is taken away."""
    node = volume.GetScene().GetNodeByID(session.logic.outcome(volume).segmentation_id)  # type: ignore[union-attr]
    segmentation, shape = node.GetSegmentation(), VolumeExport.voxels(volume).shape
    name = segment_ids(node)[-1]
    number = segmentation.GetSegment(name).GetLabelValue()
    array = merged(session, volume, node) == number
    k, j, i = (size // 4 for size in shape)
    array[k : k + 2, j : j + 5, i : i + 9] = True
    array[-k - 1, -j:, :i] = False
    paint(node, volume, name, array)
    assert session.logic.edited(volume)


def _stored_label(studies: Path, image: str) -> Grid:
    """Read the file that the server keeps."""
    (path,) = [path for path in studies.glob("labels/final/*") if path.name.split(".")[0] == image]
    return read_nifti(path.read_bytes()) if ".nii" in path.name else decode(path.read_bytes())


def _in_order_of(grid: Grid, array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    found = Geometry.same_points(grid.affine, grid.array.shape[::-1], affine, array.shape[::-1])
    assert found is not None, "the label lies on other points than the scan"
    return found.reordered(array)


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    """Compute the Dice of two label maps, all structures together."""
    both = int(((one == other) & (one > 0)).sum())
    return 2 * both / max(int((one > 0).sum()) + int((other > 0).sum()), 1)
