"""Labels on their way to the datastore."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..Protocols.ClientProtocol import Client
from ..Scene import SegmentationExport, VolumeExport
from ..Scene.Geometry import ijk_to_ras, ijk_to_world
from ..Scene.Records import Record
from ..Scene.SegmentationExport import LabelSnapshot
from ..Server import Errors
from ..Server.Nrrd import Grid, encode
from ..Server.Transfer import Transfer
from ..Types.ArchiveTypes import ArchivedLabel
from ..Types.DatastoreTypes import LabelState
from ..Types.ResultTypes import Result
from .StoredImages import KnownLabel, image_id, known_labels, random_id, stored_affine


class Submission:
    """A label on its way: what must be taken from the scene at once, and the sending.

    Args:
        record: of the volume.
        user: who takes responsibility for the label.
        tag: `"final"` for what may be trained with.
        known: numbers of structures by name: of the server's models, and of the label that was opened.

    Attributes:
        upload: what the server has of the scan since a run; empty: nothing.
        transfer: how far the scan is, where it has to be sent.
        image: id of the image.
        etag: of the label that this one takes the place of; empty: there is none.
        renamed: structures that the user has given other names: what they were, by their new name.
        empty: the label has no voxels, as far as known.
        allow_empty: a label without voxels may take the place of one with some.
        archived: what the archive behind the server has of it, once it is sent; None where there is no archive.
    """

    def __init__(
        self, record: Record, result: Result, user: str, tag: str, known: Mapping[str, int] | None = None
    ) -> None:
        volume = record.volume
        self.volume_id = volume.GetID()
        self.image = image_id(volume) or random_id()
        known = {**(known or {}), **{label.name: label.id for label in result.labels}}
        self.label: LabelSnapshot = SegmentationExport.snapshot(record.segmentation, volume, known)
        self.renamed = _renamed(self.label, result)
        self.user, self.tag = user, tag
        self.etag = _replaced(record, volume, tag)
        self.empty = self.allow_empty = False
        self.upload = ""
        self.archived: ArchivedLabel | None = None
        self.transfer = Transfer()
        self._affine = stored_affine(volume)
        self._world = ijk_to_world(volume)
        self._scan = None if image_id(volume) else Grid(VolumeExport.voxels(volume).copy(), ijk_to_ras(volume))
        self._result = result
        self._fingerprint = record.fingerprint
        self._edited_before = record.edited_before

    def send(self, client: Client) -> KnownLabel:
        """Send the label, and before it the scan if the server has it not; not for the main thread.

        Raises:
            Errors.Outdated: if another label is there than the one that the reader knows.
            Errors.Conflict: if it is empty and the one that is there is not.
            Errors.ServerError: if it cannot be sent.
        """
        merged = self.label.merged()
        self.empty = not merged.any()
        edited = self._edited_before or SegmentationExport.fingerprint(merged, self._world) != self._fingerprint
        if self._scan is not None:
            self.image = self._add_scan(client, self._scan)
            self._scan = None  # another try sends the label alone
        data = encode(Grid(merged, self._affine))
        saved = client.save_label(self.image, data, LabelState(self.tag, self.etag), self.params(edited))
        self.archived = saved.archived
        return KnownLabel(self.tag, saved.etag, self.user, edited)

    def _add_scan(self, client: Client, scan: Grid) -> str:
        """Make an image of what was sent for a run, or else send the scan."""
        if self.upload:
            with suppress(Errors.Gone, Errors.NotAllowed):  # it has expired, or the server is older
                return client.keep_upload(self.upload, self.image)
        return client.add_image(self.image, VolumeExport.file_of(scan, compressed=True), transfer=self.transfer)

    @property
    def has_image(self) -> bool:
        """Whether the server has the scan, since the label or earlier."""
        return self._scan is None

    def params(self, edited: bool) -> dict[str, Any]:
        """Describe the label: what is kept beside it."""
        model = self._result.model
        params = {
            "annotator": self.user,  # not `user`: MONAI Label puts the account there
            "model": model.name,
            "model_version": model.version,
            "model_sha256": model.sha256,
            "mode": self._result.mode,
            "edited": edited,
            "label_info": [
                {"name": entry.name, "idx": entry.value, "color": list(entry.colour)} for entry in self.label.entries
            ],
            "client": "3D Slicer SemGAN",
            "research_only": self._result.research_only,
        }
        return {**params, "allow_empty": True} if self.allow_empty else params


def _renamed(label: LabelSnapshot, result: Result) -> dict[str, str]:
    names = {known.id: known.name for known in result.labels}
    changed = [entry for entry in label.entries if entry.came_as in names and entry.value != entry.came_as]
    return {entry.name: names[entry.came_as] for entry in changed if entry.came_as is not None}


def _replaced(record: Record, volume: Any, tag: str) -> str:
    """Find the ETag of the label that the reader means to replace: an own one, or the one that was corrected.

    Whoever has opened a label and then takes another result in its place is asked, as if it had not been seen.
    """
    known = known_labels(volume).get(tag)
    if known is None or (known.shown and record.origin != tag):
        return ""
    return known.etag
