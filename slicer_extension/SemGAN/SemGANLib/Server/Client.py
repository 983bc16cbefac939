"""Client of the job API and of MONAI Label's datastore, with the standard library only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from ..Types import (
    API_MAJOR,
    PRODUCT,
    Health,
    Job,
    JobRequest,
    Model,
    Result,
    StoredImage,
    Upload,
)
from . import Errors
from .Address import Address, read_address
from .Http import Answer, Http, as_json, form
from .Parsing import Unreadable, parse

T = TypeVar("T")

TRANSFER_SECONDS = 300.0
"""Patience while a volume is written or read at the other side."""


class Client:
    """Speaks to one server. Every call waits for the answer; use it off the main thread.

    Every call raises `Errors.ServerError`. Calls may run in several threads at once.

    >>> client = Client("127.0.0.1:8000")
    >>> upload = client.upload(nrrd)                                     # doctest: +SKIP
    >>> job = client.submit(JobRequest(upload=upload.id, mode="preview"))  # doctest: +SKIP

    Args:
        address: as the user types it.
        key: API key; empty for none.
        seconds: patience for an answer; volumes have `TRANSFER_SECONDS`.

    Raises:
        Errors.WrongAddress: if it is none.
    """

    def __init__(self, address: str | Address, key: str = "", seconds: float = 30.0) -> None:
        self._where = address if isinstance(address, Address) else read_address(address)
        self._http = Http(self._where, key, seconds)
        self.address = str(self._where)

    def health(self) -> Health:
        """Ask whether this is our server, of a version that this client speaks, and how it is."""
        try:
            content = self._json(self._http.request("GET", "/semgan/health"))
        except Errors.Gone:  # a web server without this route
            raise Errors.other_server(self.address) from None
        if not isinstance(content, dict) or content.get("product") != PRODUCT:
            raise Errors.other_server(self.address)
        api = str(content.get("api", ""))
        if api.split(".")[0] != str(API_MAJOR):
            raise Errors.wrong_version(self.address, api, API_MAJOR)
        return self._parsed(Health, content)

    def models(self) -> tuple[Model, ...]:
        """List the models that the server runs."""
        return self._several(Model, self._get("/semgan/models"), "models")

    def upload(self, data: bytes, suffix: str = ".nrrd") -> Upload:
        """Send a volume.

        Args:
            data: the file's content.
            suffix: ending of its name.
        """
        path = "/semgan/uploads?" + urlencode({"suffix": suffix})
        return self._parsed(Upload, self._json(self._http.request("POST", path, data, seconds=TRANSFER_SECONDS)))

    def delete_upload(self, upload: str) -> None:
        """Remove a volume that was sent."""
        self._http.request("DELETE", f"/semgan/uploads/{quote(upload, safe='')}")

    def submit(self, request: JobRequest) -> Job:
        """Begin a job."""
        body = as_json(request.to_json())
        return self._parsed(Job, self._json(self._http.request("POST", "/semgan/jobs", body, "application/json")))

    def jobs(self) -> tuple[Job, ...]:
        """List all jobs the server knows, the newest first."""
        return self._several(Job, self._get("/semgan/jobs"), "jobs")

    def job(self, job: str) -> Job:
        """Ask where a job stands."""
        return self._parsed(Job, self._get(_job(job)))

    def cancel(self, job: str) -> Job:
        """End a job; what it has found is kept."""
        return self._parsed(Job, self._json(self._http.request("POST", f"{_job(job)}/cancel", b"")))

    def delete_job(self, job: str) -> None:
        """Remove a job and its files."""
        self._http.request("DELETE", _job(job))

    def result(self, job: str) -> Result:
        """Ask what a job has found so far."""
        return self._parsed(Result, self._get(f"{_job(job)}/result"))

    def part(self, job: str, part: str) -> bytes:
        """Fetch a volume of a result, as NRRD."""
        path = f"{_job(job)}/result/{quote(part, safe='')}?format=nrrd"
        return self._http.request("GET", path, seconds=TRANSFER_SECONDS).body

    def report(self, job: str) -> bytes:
        """Fetch the report of a result, as HTML."""
        return self._http.request("GET", f"{_job(job)}/result/report", seconds=TRANSFER_SECONDS).body

    def images(self) -> tuple[StoredImage, ...]:
        """List the images of the datastore, by id."""
        content = self._get("/datastore/?output=all")
        objects = content.get("objects") if isinstance(content, dict) else None
        if not isinstance(objects, dict):
            raise Errors.other_server(self.address)
        return tuple(
            StoredImage(str(image), tuple(sorted((entry or {}).get("labels") or {})))
            for image, entry in sorted(objects.items())
        )

    def image(self, image: str) -> tuple[bytes, str]:
        """Fetch an image of the datastore and the ending of its file's name, such as `".nii.gz"`."""
        path = "/datastore/image?" + urlencode({"image": image})
        answer = self._http.request("GET", path, seconds=TRANSFER_SECONDS)
        return answer.body, ending(answer.headers.get("content-disposition", ""))

    def add_image(self, image: str, data: bytes, suffix: str = ".nrrd") -> str:
        """Put an image into the datastore.

        Args:
            image: the id that it should have.

        Returns:
            The id that it has.
        """
        body, kind = form({"params": "{}"}, {"file": (f"image{suffix}", data)})
        path = "/datastore/image?" + urlencode({"image": image})
        content = self._json(self._http.request("PUT", path, body, kind, TRANSFER_SECONDS))
        return str(self._field(content, "image"))

    def save_label(self, image: str, data: bytes, tag: str, params: Mapping[str, Any], suffix: str = ".nrrd") -> str:
        """Put a label of an image into the datastore.

        Args:
            tag: `"final"` for what may be trained with.
            params: kept beside the label.

        Returns:
            Id of the label.
        """
        body, kind = form({"params": json.dumps(dict(params))}, {"label": (f"label{suffix}", data)})
        path = "/datastore/label?" + urlencode({"image": image, "tag": tag})
        content = self._json(self._http.request("PUT", path, body, kind, TRANSFER_SECONDS))
        return str(self._field(content, "label"))

    def next_sample(self, strategy: str) -> str | None:
        """Ask for the id of the image that active learning would have labelled next; None where all are."""
        path = f"/activelearning/{quote(strategy, safe='')}"
        content = self._json(self._http.request("POST", path, as_json({}), "application/json"))
        return str(content["id"]) if isinstance(content, dict) and content.get("id") else None

    def _get(self, path: str) -> Any:
        return self._json(self._http.request("GET", path))

    def _json(self, answer: Answer) -> Any:
        try:
            return json.loads(answer.body.decode("utf-8"))
        except ValueError:
            raise Errors.other_server(self.address) from None

    def _field(self, content: Any, name: str) -> Any:
        if not isinstance(content, dict) or name not in content:
            raise Errors.other_server(self.address)
        return content[name]

    def _parsed(self, kind: type[T], content: Any) -> T:
        try:
            return parse(kind, content)
        except Unreadable as error:
            raise Errors.unreadable(self.address, str(error)) from None

    def _several(self, kind: type[T], content: Any, name: str) -> tuple[T, ...]:
        return tuple(self._parsed(kind, entry) for entry in self._field(content, name))


def _job(job: str) -> str:
    return f"/semgan/jobs/{quote(job, safe='')}"


def ending(disposition: str) -> str:
    """Find `".nii.gz"` in `'attachment; filename="scan.nii.gz"'`; NIfTI where the header tells nothing."""
    found = re.search(r"""filename\*?=(?:[\w-]+'[\w-]*')?"?([^";]+)""", disposition)
    name = found.group(1).lower() if found else ""
    for known in (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd"):
        if name.endswith(known):
            return known
    return ".nii.gz"
