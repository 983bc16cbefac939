"""A reader who corrects the result of a job by strokes."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import Any

import nibabel
import numpy as np

from tests.jobs.conftest import Server


@dataclass
class Reader:
    """Asks for corrections of a job."""

    server: Server
    root: str
    shape: tuple[int, ...] = ()
    names: dict[int, str] = field(default_factory=dict)
    affine: np.ndarray = field(default_factory=lambda: np.eye(4))

    def __post_init__(self) -> None:
        result = self.server.get(f"/jobs/{self.root}/result").json()
        self.shape = tuple(result["shape"])
        self.names = {label["id"]: label["name"] for label in result["labels"]}
        self.affine = np.asarray(result["affine"])

    @classmethod
    def of(cls, server: Server) -> Reader:
        """Of a new preview."""
        root = server.submit(image="ct")
        server.done(root)
        return cls(server, root)

    def request(self, *strokes: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Body of a request."""
        return {"strokes": list(strokes), "shape": list(self.shape), **more}

    def ask(self, *strokes: dict[str, Any], headers: dict[str, str] | None = None, **more: Any) -> Any:
        """Response to a request."""
        path = f"/jobs/{self.root}/corrections"
        return self.server.ask("POST", path, json=self.request(*strokes, **more), headers=headers)

    def asked(self, *strokes: dict[str, Any], **more: Any) -> str:
        """Id of a new correction."""
        response = self.ask(*strokes, **more)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def corrected(self, *strokes: dict[str, Any], **more: Any) -> dict[str, Any]:
        """A correction that has ended well."""
        return self.server.done(self.asked(*strokes, **more))

    def history(self) -> dict[str, Any]:
        """The history."""
        return dict(self.server.get(f"/jobs/{self.root}/corrections").json())

    def go_to(self, number: int) -> dict[str, Any]:
        """The history after a step in it."""
        answer = self.server.ask("POST", f"/jobs/{self.root}/corrections/current", json={"number": number})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def label(self, job: str = "") -> np.ndarray:
        """Label of a job."""
        answer = self.server.get(f"/jobs/{job or self.root}/result/label", params={"format": "nii.gz"})
        assert answer.status_code == 200, answer.text
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(answer.content))
        return np.asarray(image.dataobj).astype(np.uint8)

    def current(self) -> np.ndarray:
        """Label in force."""
        history = self.history()
        jobs = {step["number"]: step["job"] for step in history["steps"]}
        return self.label(jobs.get(history["current"], self.root))

    def upload(self, label: np.ndarray) -> str:
        """Id of an upload with a label on the grid of the scan."""
        content = gzip.compress(nibabel.Nifti1Image(label, self.affine).to_bytes())
        answer = self.server.upload(content)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def stroke(reader: Reader, row: int, index: int, k: int = 2) -> dict[str, Any]:
    """A scribble of three voxels in a row of a slice."""
    first = 3 + reader.shape[0] * (row + reader.shape[1] * k)
    return {"structure": reader.names[index], "runs": [[first, 3]]}
