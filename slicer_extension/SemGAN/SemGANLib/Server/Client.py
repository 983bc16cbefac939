"""Client of the job API and of MONAI Label's datastore, with the standard library only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from ..Protocols.RunnerProtocol import Transfer
from ..Types.DatastoreTypes import BatchStatus, StoredImage
from ..Types.JobTypes import Job, JobRequest, Upload, UploadProgress
from ..Types.ModelTypes import Model
from ..Types.ResultTypes import Result
from ..Types.ServerTypes import API_MAJOR, PRODUCT, Access, Health
from . import Errors
from .Address import Address, read_address
from .ArchiveCalls import ArchiveCalls
from .CorrectionCalls import CorrectionCalls
from .Http import Answer, Http, as_json, form
from .LabelCalls import TRANSFER_SECONDS, LabelCalls, ending
from .Parsing import Unreadable, parse
from .Resumable import PartsUnknown, Resumable
from .TrainingCalls import TrainingCalls
from .Transfer import Transfer as Counter

T = TypeVar("T")

BATCH_MODEL = "semgan_preview"
"""What MONAI Label's routes call a preview."""


class Client(LabelCalls, CorrectionCalls, TrainingCalls, ArchiveCalls):
    """Speaks to one server. Every call waits for the answer; use it off the main thread.

    Every call raises `Errors.ServerError`. Calls may run in several threads at once.

    >>> client = Client("127.0.0.1:8000")
    >>> upload = client.upload(nrrd)                                     # doctest: +SKIP
    >>> job = client.submit(JobRequest(upload=upload.id, mode="preview"))  # doctest: +SKIP

    Args:
        address: as the user types it.
        access: what the server wants to know of whoever asks, or just its API key; empty for none.
        seconds: patience for an answer; volumes have `TRANSFER_SECONDS`.

    Raises:
        Errors.WrongAddress: if it is none.
    """

    def __init__(self, address: str | Address, access: str | Access = "", seconds: float = 30.0) -> None:
        self._where = address if isinstance(address, Address) else read_address(address)
        self._access = access if isinstance(access, Access) else Access(access)
        self._http = Http(self._where, self._access, seconds)
        self._parts_known = True
        self.address = str(self._where)

    @property
    def user(self) -> str:
        """Name in MONAI Label's log-in, once logged in; empty at other servers."""
        return self._access.user if self._http.logged_in else ""

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

    def upload(self, data: bytes, suffix: str = ".nrrd", transfer: Transfer | None = None) -> Upload:
        """Send a volume; goes on where it was when the connection breaks.

        Args:
            data: the file's content.
            suffix: ending of its name.
            transfer: counts, and may stop it.
        """
        watched = transfer or Counter()
        sent = self._in_parts(data, suffix, watched)
        if sent is not None:
            return sent
        watched.begin(len(data))
        path = "/semgan/uploads?" + urlencode({"suffix": suffix})
        answer = self._http.request("POST", path, data, seconds=TRANSFER_SECONDS, transfer=watched)
        return self._parsed(Upload, self._json(answer))

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

    def part(self, job: str, part: str, transfer: Transfer | None = None) -> bytes:
        """Fetch a volume of a result, as NRRD."""
        path = f"{_job(job)}/result/{quote(part, safe='')}?format=nrrd"
        return self._http.request("GET", path, seconds=TRANSFER_SECONDS, transfer=transfer).body

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

    def add_image(self, image: str, data: bytes, suffix: str = ".nrrd", transfer: Transfer | None = None) -> str:
        """Put an image into the datastore; goes on where it was when the connection breaks.

        Args:
            image: the id that it should have.
            data: the file's content.
            suffix: ending of its name.
            transfer: counts, and may stop it.

        Returns:
            The id that it has.
        """
        watched = transfer or Counter()
        sent = self._in_parts(data, suffix, watched)
        if sent is not None:
            try:
                if watched.stopped:
                    raise Errors.stopped()
                return self.keep_upload(sent.id, image)
            finally:
                with suppress(Errors.ServerError):  # else the server does so in time
                    self.delete_upload(sent.id)
        body, kind = form({"params": "{}"}, {"file": (f"image{suffix}", data)})
        path = "/datastore/image?" + urlencode({"image": image})
        watched.begin(len(body))
        content = self._json(self._http.request("PUT", path, body, kind, TRANSFER_SECONDS, transfer=watched))
        return str(self._field(content, "image"))

    def keep_upload(self, upload: str, image: str) -> str:
        """Make a volume that was sent an image of the datastore; returns the id that it has there."""
        path = f"/semgan/uploads/{quote(upload, safe='')}/image?" + urlencode({"image": image})
        content = self._json(self._http.request("PUT", path, b"", seconds=TRANSFER_SECONDS))
        return str(self._field(content, "image"))

    def next_sample(self, strategy: str, reader: str = "") -> str | None:
        """Ask for the id of the image that active learning would have labelled next; None where all are.

        Args:
            reader: name of whoever labels; where a reader has several computers, they count as several.
        """
        path = f"/activelearning/{quote(strategy, safe='')}"
        params = {"client_id": self._access.client, "user": reader}
        body = as_json({name: value for name, value in params.items() if value})
        content = self._json(self._http.request("POST", path, body, "application/json"))
        return str(content["id"]) if isinstance(content, dict) and content.get("id") else None

    def start_batch(self, images: Sequence[str] | None = None) -> BatchStatus:
        """Begin previews of images of the datastore, or of all without a label, which are kept as their labels."""
        path = f"/batch/infer/{BATCH_MODEL}?" + urlencode({"images": "unlabeled"})
        body = as_json({} if images is None else {"images": list(images)})
        return self._batch(self._json(self._http.request("POST", path, body, "application/json")))

    def batch(self) -> BatchStatus | None:
        """Ask how far the last batch is; None if there was none."""
        try:
            return self._batch(self._get("/batch/infer"))
        except Errors.Gone:
            return None

    def stop_batch(self) -> BatchStatus | None:
        """End the batch that runs, if there is one; what it has saved stays."""
        content = self._json(self._http.request("DELETE", "/batch/infer"))
        return self._batch(content) if content else None

    def _in_parts(self, data: bytes, suffix: str, transfer: Transfer) -> Upload | None:
        """Send a volume in parts; None where the server is older and takes none."""
        if self._parts_known:
            with suppress(PartsUnknown):
                return Resumable(self._http.request, self._progress, transfer).send(data, suffix)
            self._parts_known = False
        return None

    def _batch(self, content: Any) -> BatchStatus:
        status, progress = self._field(content, "status"), content.get("progress")
        progress = progress if isinstance(progress, dict) else {}
        done, failed, total = (_count(progress.get(name)) for name in ("done", "failed", "total"))
        details = content.get("details")
        problem = str(details[-1]) if str(status) == "ERROR" and isinstance(details, list) and details else ""
        return BatchStatus(str(status), done or 0, failed or 0, total, problem, _failures(content.get("failures")))

    def _progress(self, answer: Answer) -> UploadProgress:
        progress = self._parsed(UploadProgress, self._json(answer))
        if type(progress.received) is not int or progress.received < 0:
            raise Errors.unreadable(self.address, "UploadProgress: received")
        return progress

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


def _failures(told: Any) -> tuple[tuple[str, str], ...]:
    entries = [entry for entry in told if isinstance(entry, dict)] if isinstance(told, list) else []
    return tuple((str(entry.get("image", "")), str(entry.get("reason", ""))) for entry in entries)


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _job(job: str) -> str:
    return f"/semgan/jobs/{quote(job, safe='')}"
