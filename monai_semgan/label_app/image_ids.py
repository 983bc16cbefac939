"""Names that clients may give: ids of images and tags of labels, and which file an id stands for."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.exception import ImageNotFoundException

from monai_semgan.utils.files import is_text

ID_PATTERN = r"^[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,199}\Z"
"""No separators, no leading dot, nothing that a terminal would act upon."""

TAG_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_. -]{0,63}\Z"
"""Tags are names of folders."""


def is_image_id(text: object) -> bool:
    """Tell whether this can be the id of an image; the name of a file may be no text, which no answer can hold."""
    return isinstance(text, str) and re.match(ID_PATTERN, text) is not None and is_text(text)


def is_tag(text: object) -> bool:
    """Tell whether this can be the tag of a label."""
    return isinstance(text, str) and re.match(TAG_PATTERN, text) is not None


IMAGE_STATE = "image_state"
"""Where infos of labels and scores keep the state of the image that they were made from."""


def image_state(image: str | None, datastore: Any) -> str:
    """Return a hash of the state of an image's files; empty where the datastore cannot tell, as for DICOMweb.

    Args:
        image: an id, or None for a file that was received.
        datastore: of MONAI Label.
    """
    tell = getattr(datastore, IMAGE_STATE, None)
    return str(tell(image)) if image is not None and tell is not None else ""


def made_from(info: Mapping[str, Any], state: str) -> bool:
    """Tell whether a label or score is of an image in this state; what does not say so is taken to be.

    Args:
        info: of the label or score.
        state: of the image as it is now; empty if that is not known.
    """
    return not state or info.get(IMAGE_STATE, state) == state


def find_image(image: object, datastore: Any) -> tuple[str | None, str]:
    """Return id and file of the image of a request.

    MONAI Label turns an unknown id into an empty path and then segments whatever lies there, and prefers a file of
    that name in the folder where the server was started.

    Args:
        image: an id of the datastore, or the path of a file that a route has received.
        datastore: of MONAI Label.

    Returns:
        The id, or None for a file that was received, and the path.

    Raises:
        ImageNotFoundException: it is neither.
    """
    if isinstance(image, str) and image:
        path = datastore.get_image_uri(image) if is_image_id(image) else ""
        if path:
            return image, str(path)
        if os.path.isabs(image) and os.path.exists(image):
            return None, image
    raise ImageNotFoundException("unknown image; list the ids with /datastore/?output=all")
