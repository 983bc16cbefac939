"""`/semgan/labels`: who has made the labels of an image, their versions, and what a second reader says of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import Response
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from pydantic import BaseModel, Field

from monai_semgan.label_app.image_ids import is_image_id, is_tag
from monai_semgan.label_app.label_facts import LabelVersion
from monai_semgan.label_app.labels_datastore import PresentLabel
from monai_semgan.label_app.server.label_conditions import Expected, quoted
from monai_semgan.label_app.server.open_file_response import OpenFileResponse
from monai_semgan.label_app.server.routes.label_routes import expected_label, logged_in
from monai_semgan.label_app.server.routes.shared import USER, running_app

router = APIRouter(prefix="/semgan/labels", tags=["SemGAN"])

SECOND_READER = Depends(RBAC([settings.MONAI_LABEL_AUTH_ROLE_REVIEWER, settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR]))


class Review(BaseModel):
    """What a second reader says of a label; with MONAI Label's log-in, the reviewer is its user."""

    reviewer: str = Field("", max_length=200)
    verdict: Literal["accepted", "rejected"]
    comment: str = Field("", max_length=4000)


class StoredReview(Review):
    """A review, and when it was made."""

    when: str


class Facts(BaseModel):
    """What a version of a label was made by."""

    version: int
    etag: str
    saved: str
    annotator: str | None
    model: str | None
    edited: bool | None
    review: StoredReview | None


class LabelFacts(Facts):
    """A label, with the versions that it has replaced, the newest first."""

    tag: str
    versions: list[Facts]


class RemovedLabel(BaseModel):
    """A label that is not there any more."""

    tag: str
    versions: list[Facts]


class ImageLabels(BaseModel):
    """The labels of an image."""

    image: str
    labels: list[LabelFacts]
    removed: list[RemovedLabel]


@router.get("/{image}", dependencies=[USER], summary="Labels of an image, with their versions")
def labels(image: str) -> ImageLabels:
    """List the labels of an image, and those that were removed."""
    store = _store_with(image)
    found: list[LabelFacts] = []
    removed: list[RemovedLabel] = []
    for tag in store.tags_with_versions(image):
        present, earlier = store.present_label(image, tag), store.earlier_labels(image, tag)
        versions = [_facts(one) for one in earlier]
        if present is not None:
            found.append(LabelFacts(tag=tag, versions=versions, **present.facts.facts()))
        elif versions:
            removed.append(RemovedLabel(tag=tag, versions=versions))
    return ImageLabels(image=image, labels=found, removed=removed)


@router.get("/{image}/{tag}/{version}", dependencies=[USER], summary="File of a version of a label")
def version_file(image: str, tag: str, version: int) -> Response:
    """Return the file of a version, also of the present one."""
    opened = _store_with(image).open_version(image, tag, version) if is_tag(tag) else None
    if opened is None:
        raise HTTPException(404, f"no such version is kept; list them with /semgan/labels/{image}")
    stream, name, etag = opened
    return OpenFileResponse(stream, name, etag)


@router.put("/{image}/{tag}/review", summary="Verdict of a second reader")
def review(
    image: str,
    tag: str,
    verdict: Review,
    response: Response,
    expected: Annotated[Expected, Depends(expected_label)],
    user: User = SECOND_READER,
) -> LabelFacts:
    """Note what a second reader says of the label that he or she has seen, which `If-Match` names."""
    store = _store_with(image)
    if expected.if_match is None:
        raise HTTPException(428, "tell by If-Match which label was reviewed; GET /datastore/label answers its ETag")
    reviewer = (logged_in(user) or verdict.reviewer).strip()
    if not reviewer:
        raise HTTPException(422, "reviewer: tell who reviews the label")
    if not is_tag(tag):
        raise HTTPException(404, "unknown label; list labels and tags with /datastore/?output=all")
    noted = {"reviewer": reviewer, "verdict": verdict.verdict, "comment": verdict.comment}
    facts = store.review_label(image, tag, noted, _by_another(expected, reviewer))
    response.headers["ETag"] = quoted(facts.etag)
    versions = [_facts(one) for one in store.earlier_labels(image, tag)]
    return LabelFacts(tag=tag, versions=versions, **facts.facts())


def _by_another(expected: Expected, reviewer: str) -> Any:
    def check(present: PresentLabel | None) -> None:
        expected.check(present)
        annotator = (present.facts.annotator or "") if present else ""
        if annotator.strip().casefold() == reviewer.casefold():
            raise HTTPException(409, "a label is reviewed by a second reader, not by the one who has saved it")

    return check


def _facts(version: LabelVersion) -> Facts:
    return Facts(**version.facts())


def _store_with(image: str) -> Any:
    store = running_app().datastore()
    if not is_image_id(image) or not store.has_image(image):
        raise HTTPException(404, "unknown image; list the ids with /datastore/?output=all")
    return store
