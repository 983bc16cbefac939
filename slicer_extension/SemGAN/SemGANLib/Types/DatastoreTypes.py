"""Images and labels of the server's datastore, and previews of many, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from .ArchiveTypes import ArchivedLabel


@dataclass(frozen=True)
class BatchStatus:
    """How far the server is with many images.

    Attributes:
        status: in MONAI Label's words: SUBMITTED, RUNNING, DONE, STOPPED or ERROR.
        done: images, those that failed among them.
        total: None before it has begun.
        problem: why it ended early.
        failures: images that failed and why; of many, the first.
    """

    status: str
    done: int = 0
    failed: int = 0
    total: int | None = None
    problem: str = ""
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.status in ("SUBMITTED", "RUNNING")


@dataclass(frozen=True)
class StoredImage:
    """An image of the server's datastore.

    Attributes:
        labels: tags of the labels that it has, such as `"final"`.
    """

    id: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelState:
    """A label of the datastore at some moment.

    Attributes:
        tag: `"final"` for what may be trained with, `"preliminary"`, or `"original"` for a model's.
        etag: changes with the label; empty where there is none.
    """

    tag: str
    etag: str = ""


@dataclass(frozen=True)
class SavedLabel:
    """What a server says of a label that it has just been given.

    Attributes:
        etag: of the label; empty from an older server.
        archived: what the archive has of it; None where the server has no archive, or is older.
    """

    etag: str = ""
    archived: ArchivedLabel | None = None


@dataclass(frozen=True)
class LabelReview:
    """What a second reader says of a label.

    Attributes:
        verdict: `"accepted"` or `"rejected"`.
        when: ISO time.
    """

    reviewer: str
    verdict: str
    comment: str = ""
    when: str = ""


@dataclass(frozen=True)
class LabelFacts:
    """A label of the datastore, and where it comes from.

    Attributes:
        saved: ISO time.
        annotator: who submitted it.
        model: that it was made with.
        edited: whether it differs from what the model found; None where that is not known.
        versions: how many earlier ones the server keeps.
    """

    state: LabelState
    saved: str = ""
    annotator: str = ""
    model: str = ""
    edited: bool | None = None
    review: LabelReview | None = None
    versions: int = 0
