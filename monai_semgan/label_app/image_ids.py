"""What the app does to a request before, and to a result after, MONAI Label's own handling."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.exception import MONAILabelError, MONAILabelException

TAG = "semgan_{}"
"""Label tag of an extra map."""


def known_image(request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
    """The request, if its image is known to the datastore or is a file that a route has received.

    MONAI Label turns an unknown id into an empty path and then segments whatever lies there.

    Raises:
        MONAILabelException: if the image is unknown.
    """
    image = request.get("image")
    known = isinstance(image, str) and bool(image) and (os.path.exists(image) or datastore.get_image_uri(image))
    if not known:
        raise MONAILabelException(MONAILabelError.INVALID_INPUT, "unknown image; list the ids with /datastore/")
    return dict(request)


def keep_maps(request: Mapping[str, Any], result: dict[str, Any], datastore: Any) -> dict[str, Any]:
    """Save the extra maps of a result as labels of the image, tagged `semgan_uncertainty` and so on.

    Args:
        request: its `image` is the id that the maps belong to; those of an uploaded file have none and are dropped.
        result: of `MONAILabelApp.infer`.
        datastore: where the maps go.

    Returns:
        The result; `params["extras"]` tells id and tag of every map.
    """
    params = result.get("params") or {}
    folder = params.pop("maps_folder", None)
    if folder is None:
        return result
    try:
        if not os.path.exists(request["image"]):
            params["extras"] = {
                path.name.removesuffix(".nii.gz"): _save(path, request["image"], datastore)
                for path in sorted(Path(folder).glob("*.nii.gz"))
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def _save(path: Path, image: str, datastore: Any) -> dict[str, str]:
    tag = TAG.format(path.name.removesuffix(".nii.gz"))
    return {"label": datastore.save_label(image, str(path), tag, {}), "tag": tag}
