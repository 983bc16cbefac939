"""Extra maps of a result, kept as labels of the image, so that any client of MONAI Label can fetch them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError

TAG = "semgan_{}"
"""Label tag of an extra map."""

MAPS = ("uncertainty", "reconstruction", "residual")
"""Extra maps that there can be."""


def is_map(tag: str) -> bool:
    """Tell whether extra maps have this tag."""
    return tag in map(TAG.format, MAPS)


def keep_maps(image: str | None, params: dict[str, Any], datastore: Any, info: dict[str, Any]) -> None:
    """Save the extra maps of a result as labels of the image, tagged `semgan_uncertainty` and so on.

    Args:
        image: id that the maps belong to; those of a file that was sent have none and are dropped.
        params: of the result; `maps_folder` goes, `extras` comes: id and tag of every map whose tag no
            reader's label has.
        datastore: where the maps go.
        info: what is kept with each of them.
    """
    folder = params.pop("maps_folder", None)
    if folder is None:
        return
    try:
        if image is not None:
            params["extras"] = {
                path.name.removesuffix(".nii.gz"): _save(path, image, datastore, info)
                for path in sorted(Path(folder).glob("*.nii.gz"))
                if _is_free(path, image, datastore)
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_free(path: Path, image: str, datastore: Any) -> bool:
    """Tell whether no reader has saved a label under the tag of a map."""
    check = getattr(datastore, "check_model_may_save", None)
    try:
        if check is not None:
            check(image, TAG.format(path.name.removesuffix(".nii.gz")))
    except SemganError:
        return False
    return True


def _save(path: Path, image: str, datastore: Any, info: dict[str, Any]) -> dict[str, str]:
    tag = TAG.format(path.name.removesuffix(".nii.gz"))
    return {"label": datastore.save_label(image, str(path), tag, dict(info)), "tag": tag}
