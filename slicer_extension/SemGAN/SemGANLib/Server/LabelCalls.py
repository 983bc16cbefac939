"""What a client asks about labels of the datastore: their versions, who made them, and what a second reader says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from ..Types.DatastoreTypes import LabelFacts, LabelReview, LabelState, SavedLabel
from . import Errors
from .ArchiveCalls import archived_in
from .Http import Answer, Http, as_json, form

TRANSFER_SECONDS = 300.0
"""Patience while a label is written or read at the other side; for each step, not for the whole of it."""


class LabelCalls:
    """Part of the client. See `Protocols.ClientProtocol.Client` for what each call promises."""

    _http: Http

    if TYPE_CHECKING:

        def _get(self, path: str) -> Any: ...

        def _json(self, answer: Answer) -> Any: ...

    def stored_labels(self, image: str) -> tuple[LabelFacts, ...]:
        """List the labels of an image; none where the server is older and does not tell.

        Raises:
            Errors.ServerError: as every call.
        """
        try:
            content = self._get(f"/semgan/labels/{quote(image, safe='')}")
        except (Errors.Gone, Errors.NotAllowed):
            return ()
        entries = content.get("labels") if isinstance(content, dict) else None
        return tuple(_facts(entry) for entry in entries or () if isinstance(entry, dict) and entry.get("tag"))

    def label(self, image: str, tag: str) -> tuple[bytes, str, str]:
        """Fetch a label: file, ending of its name, and ETag, which is empty from an older server."""
        path = "/datastore/label?" + urlencode({"label": image, "tag": tag})
        answer = self._http.request("GET", path, seconds=TRANSFER_SECONDS)
        return (
            answer.body,
            ending(answer.headers.get("content-disposition", "")),
            quoted(answer.headers.get("etag", "")),
        )

    def label_info(self, image: str, tag: str) -> dict[str, Any]:
        """Ask what is kept beside a label."""
        content = self._get("/datastore/label/info?" + urlencode({"label": image, "tag": tag}))
        return content if isinstance(content, dict) else {}

    def save_label(
        self,
        image: str,
        data: bytes,
        state: LabelState,
        params: Mapping[str, Any],
        suffix: str = ".nrrd",
    ) -> SavedLabel:
        """Put a label of an image into the datastore, over the one that the reader knows, or where there is none.

        Args:
            state: tag and ETag of the label that it takes the place of.
            params: kept beside the label.

        Returns:
            Its ETag, and what the archive behind the server has of it.

        Raises:
            Errors.Outdated: if there is another one by now.
            Errors.ServerError: as every call.
        """
        body, kind = form({"params": json.dumps(dict(params))}, {"label": (f"label{suffix}", data)})
        path = "/datastore/label?" + urlencode({"image": image, "tag": state.tag})
        answer = self._http.request("PUT", path, body, kind, TRANSFER_SECONDS, headers=_condition(state))
        return SavedLabel(quoted(answer.headers.get("etag", "")), archived_in(answer.body))

    def review_label(self, image: str, state: LabelState, reviewer: str, verdict: str, comment: str) -> str:
        """Say what a second reader thinks of a label.

        Args:
            state: tag and ETag of the label that he or she has seen.
            verdict: `"accepted"` or `"rejected"`.

        Returns:
            The label's ETag.

        Raises:
            Errors.Outdated: if there is another one by now.
            Errors.ServerError: as every call.
        """
        path = f"/semgan/labels/{quote(image, safe='')}/{quote(state.tag, safe='')}/review"
        body = as_json({"reviewer": reviewer, "verdict": verdict, "comment": comment})
        answer = self._http.request("PUT", path, body, "application/json", headers=_condition(state))
        return quoted(answer.headers.get("etag", "")) or state.etag


def _condition(state: LabelState) -> dict[str, str]:
    return {"If-Match": state.etag} if state.etag else {"If-None-Match": "*"}


def quoted(etag: str) -> str:
    """Write an ETag as a header has it; empty stays empty."""
    return f'"{etag}"' if etag and not etag.endswith('"') else etag


def _facts(entry: Mapping[str, Any]) -> LabelFacts:
    edited, review = entry.get("edited"), entry.get("review")
    versions = entry.get("versions")
    return LabelFacts(
        LabelState(str(entry["tag"]), quoted(_text(entry.get("etag")))),
        _text(entry.get("saved")),
        _text(entry.get("annotator")),
        _model(entry.get("model")),
        edited if isinstance(edited, bool) else None,
        _review(review) if isinstance(review, dict) else None,
        len(versions) if isinstance(versions, list) else 0,
    )


def _review(entry: Mapping[str, Any]) -> LabelReview:
    return LabelReview(*(_text(entry.get(name)) for name in ("reviewer", "verdict", "comment", "when")))


def _model(value: Any) -> str:
    """Name a model, which older servers tell in parts."""
    if isinstance(value, dict):
        return " ".join(filter(None, (_text(value.get("name")), _text(value.get("version")))))
    return _text(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def ending(disposition: str) -> str:
    """Find `".nii.gz"` in `'attachment; filename="scan.nii.gz"'`; NIfTI where the header tells nothing."""
    found = re.search(r"""filename\*?=(?:[\w-]+'[\w-]*')?"?([^";]+)""", disposition)
    name = found.group(1).lower() if found else ""
    for known in (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd"):
        if name.endswith(known):
            return known
    return ".nii.gz"
