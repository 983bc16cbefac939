"""What the routes share: roles, the running app, values that arrive as JSON in a form field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Depends, HTTPException
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC
from monailabel.interfaces.utils.app import app_instance

from monai_semgan.label_app.datastore import StudiesDatastore
from monai_semgan.label_app.image_ids import is_tag
from monai_semgan.label_app.server.json_input import read_json

if TYPE_CHECKING:
    from monailabel.interfaces.app import MONAILabelApp

USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))
ADMIN = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))


def running_app() -> MONAILabelApp:
    """Return the app that serves."""
    return app_instance()


def known_image(image: str | None) -> str:
    """Return the path of an image of the datastore.

    Raises:
        HTTPException: 404 if there is none.
    """
    path = running_app().datastore().get_image_uri(image) if image else ""
    if not path:
        raise HTTPException(404, "unknown image; list the ids with /datastore/?output=all")
    return str(path)


def check_image_id(image: str) -> None:
    """Make sure that there is such an image; unlike `known_image` this makes no file of a DICOM series.

    Raises:
        HTTPException: 404 if there is none.
    """
    store = running_app().datastore()
    if not (isinstance(store, StudiesDatastore) and store.has_image(image)):
        known_image(image)


def known_label(label: str, tag: str) -> str:
    """Return the path of a label of the datastore.

    Raises:
        HTTPException: 404 if there is none.
    """
    path = running_app().datastore().get_label_uri(label, tag) if is_tag(tag) else ""
    if not path:
        raise HTTPException(404, "unknown label; list labels and tags with /datastore/?output=all")
    return str(path)


def known_name(name: str, names: Any, kind: str) -> str:
    """Return the name of a model, strategy or method.

    Raises:
        HTTPException: 404 if the server has none of that name.
    """
    if name not in names:
        there = f"there are: {', '.join(sorted(names))}" if names else "this server has none"
        raise HTTPException(404, f"unknown {kind}; {there}")
    return name


def json_object(text: str | None, field: str = "params") -> dict[str, Any]:
    """Read a JSON object out of a form field; empty text is an empty one.

    Raises:
        HTTPException: 422 if it is none.
        SemganError: it holds what cannot be stored.
    """
    value = read_json(text, field) if text else {}
    if not isinstance(value, dict):
        raise HTTPException(422, f"{field} is no JSON object")
    return value


def check_tag_and_labels(params: dict[str, Any]) -> None:
    """Make sure that `label_tag` and `labels`, by which images are chosen, are a tag and names.

    Raises:
        HTTPException: 422 if not.
    """
    tag, labels = params.get("label_tag"), params.get("labels")
    if tag and not is_tag(tag):
        raise HTTPException(422, "label_tag cannot be the tag of a label: use letters, digits, . _ and -")
    named = [labels] if isinstance(labels, str) else labels
    if named is not None and not (isinstance(named, list) and all(isinstance(name, str) for name in named)):
        raise HTTPException(422, "labels is not a list of names")
