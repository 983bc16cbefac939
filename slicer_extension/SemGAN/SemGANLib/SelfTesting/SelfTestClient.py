"""A server in memory for the self test: it answers as the job API does, and finds what is bright."""

from __future__ import annotations

from typing import Any

from ..Server.Errors import Gone
from ..Server.Nrrd import Grid, decode, encode
from ..Types.ArchiveTypes import ArchivedLabel, ArchiveFacts
from ..Types.DatastoreTypes import BatchStatus, LabelFacts, LabelState, SavedLabel, StoredImage
from ..Types.JobTypes import Job, JobRequest, Upload
from ..Types.ModelTypes import Code, Label, Mode, Model, ModelId
from ..Types.ResultTypes import Domain, Result
from ..Types.ServerTypes import Health
from ..Types.TrainingTypes import TrainingJob

ADDRESS = "http://127.0.0.1:8000"
BRIGHT = 60
"""Voxels above are the structure."""

TISSUE = Label(
    1,
    "bright tissue",
    (221, 130, 101),
    Code("SCT", "85756007", "Tissue"),
    Code("SCT", "85756007", "Tissue"),
)
MODEL = Model("self_test", "1.0", "0" * 64, (TISSUE,), (Mode("preview"), Mode("refine", steps=3)), modalities=("CT",))


class SelfTestClient:
    """See `Protocols.ClientProtocol.Client`.

    Attributes:
        labels: what was submitted, by image.
    """

    address = ADDRESS
    user = ""

    def __init__(self) -> None:
        self.labels: dict[str, dict[str, Any]] = {}
        self._volume: Grid | None = None
        self._mode = "preview"

    def health(self) -> Health:
        """Answer that the server is ready."""
        return Health("monai_semgan", "self test", "1.0", ready=True)

    def models(self) -> tuple[Model, ...]:
        """List the one model."""
        return (MODEL,)

    def upload(self, data: bytes, suffix: str = ".nrrd", transfer: Any = None) -> Upload:
        """Keep the volume."""
        self._volume = decode(data)
        return Upload("a" * 32, 4e9, self._volume.array.shape[::-1], len(data))

    def delete_upload(self, upload: str) -> None:
        """Do nothing."""

    def submit(self, request: JobRequest) -> Job:
        """Begin a job that is done at once."""
        self._mode = request.mode
        return self.job("b" * 32)

    def jobs(self) -> tuple[Job, ...]:
        """List no jobs: none is remembered."""
        return ()

    def job(self, job: str) -> Job:
        """Answer that the job is done."""
        loss = () if self._mode == "preview" else (3.0, 2.0, 1.5)
        return Job(job, "done", step=3, steps=3, loss=loss, result_version=1, parts=self._parts())

    def cancel(self, job: str) -> Job:
        """Answer that the job is done: it is too late to cancel it."""
        return self.job(job)

    def delete_job(self, job: str) -> None:
        """Do nothing."""

    def result(self, job: str) -> Result:
        """Describe the result of the last volume."""
        grid = self._grid()
        columns, rows, slices = grid.array.shape[::-1]
        voxel = abs(float(_determinant(grid.affine))) / 1000.0
        centres = tuple(_centre(grid.affine, columns, rows, index) for index in range(slices))
        return Result(
            job=job,
            version=1,
            partial=False,
            mode=self._mode,
            labels=(TISSUE,),
            shape=(columns, rows, slices),
            affine=tuple(tuple(float(value) for value in row) for row in grid.affine),
            model=ModelId(MODEL.name, MODEL.version, MODEL.sha256),
            parts=self._parts(),
            modality="CT",
            volumes_ml={TISSUE.name: float((grid.array > BRIGHT).sum()) * voxel},
            slice_centres=centres,
            residual_per_slice=tuple(10.0 + index for index in range(slices)),
            doubt_per_slice=tuple(index / slices for index in range(slices)),
            domain=Domain(0.1, "in domain"),
        )

    def part(self, job: str, part: str, transfer: Any = None) -> bytes:
        """Label bright voxels; as maps give the scan itself and what is derived from it."""
        grid = self._grid()
        bright = grid.array > BRIGHT
        arrays = {
            "label": bright.astype("uint8"),
            "reconstruction": grid.array.astype("float32"),
            "residual": grid.array.astype("float32") * 0.1,
            "uncertainty": bright.astype("float32") * 0.5,
        }
        return encode(Grid(arrays[part], grid.affine))

    def report(self, job: str) -> bytes:
        """Give a page."""
        return b"<html><body>Self test</body></html>"

    def images(self) -> tuple[StoredImage, ...]:
        """List what was submitted."""
        return tuple(StoredImage(image, ("final",)) for image in self.labels)

    def image(self, image: str) -> tuple[bytes, str]:
        """Give the last volume."""
        return encode(self._grid()), ".nrrd"

    def add_image(self, image: str, data: bytes, suffix: str = ".nrrd", transfer: Any = None) -> str:
        """Keep an image by its name only."""
        return image

    def keep_upload(self, upload: str, image: str) -> str:
        """Keep an image by its name only."""
        return image

    def stored_labels(self, image: str) -> tuple[LabelFacts, ...]:
        """Answer as a server that does not tell."""
        return ()

    def label(self, image: str, tag: str) -> tuple[bytes, str, str]:
        """Answer that there is none."""
        raise ValueError("no label is kept")

    def label_info(self, image: str, tag: str) -> dict[str, Any]:
        """Tell what was told of the label."""
        return dict(self.labels[image])

    def save_label(self, image: str, data: bytes, state: LabelState, params: Any, suffix: str = ".nrrd") -> SavedLabel:
        """Keep the description of the label."""
        self.labels[image] = dict(params)
        return SavedLabel('"1"')

    def review_label(self, image: str, state: LabelState, reviewer: str, verdict: str, comment: str) -> str:
        """Agree."""
        return state.etag

    def next_sample(self, strategy: str, reader: str = "") -> str | None:
        """Answer that all images are labelled."""
        return None

    def start_batch(self, images: Any = None) -> BatchStatus:
        """Begin a batch that is done at once."""
        return BatchStatus("DONE")

    def batch(self) -> BatchStatus | None:
        """Answer that there was no batch."""
        return None

    def stop_batch(self) -> BatchStatus | None:
        """Answer that none is running."""
        return None

    def archive(self) -> ArchiveFacts | None:
        """Answer that there is no archive."""
        return None

    def send_again(self, image: str, tag: str) -> ArchivedLabel:
        """Answer that there is no archive."""
        raise Gone("no archive")

    def trainings(self) -> tuple[TrainingJob, ...]:
        """Answer that this server does not learn."""
        raise Gone("no training")

    def _grid(self) -> Grid:
        if self._volume is None:
            raise ValueError("no volume was sent")
        return self._volume

    def _parts(self) -> tuple[str, ...]:
        return ("label",) if self._mode == "preview" else ("label", "reconstruction", "residual", "uncertainty")


def _determinant(affine: Any) -> float:
    import numpy

    return float(numpy.linalg.det(affine[:3, :3]))


def _centre(affine: Any, columns: int, rows: int, index: int) -> tuple[float, float, float]:
    middle = affine[:3, :3] @ [(columns - 1) / 2, (rows - 1) / 2, index] + affine[:3, 3]
    return (float(middle[0]), float(middle[1]), float(middle[2]))
