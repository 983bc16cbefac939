"""Corrections of one job that a worker computes as one, and what becomes of the others when one is cancelled."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from monai_semgan.errors import SemganError
from monai_semgan.jobs.job_entries import Entry
from monai_semgan.jobs.job_errors import JobError
from monai_semgan.jobs.storage.correction_files import share_report, share_version
from monai_semgan.jobs.storage.store import JobStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Joint:
    """Corrections of one job that are computed together, in the order in which they came; often just one.

    Attributes:
        entries: the newest, which the worker is told of, is the last.
    """

    entries: tuple[Entry, ...]

    @property
    def carrier(self) -> Entry:
        """The one that is computed."""
        return self.entries[-1]

    @property
    def parted(self) -> bool:
        """Whether some are not wanted any more, and others are: what is being computed is of no use to anybody."""
        unwanted = [one.unwanted for one in self.entries]
        return any(unwanted) and not all(unwanted)

    def remark_for(self, entry: Entry) -> str:
        """Say, at the end of a message, with which correction one was computed; nothing of the carrier itself."""
        return "" if entry is self.carrier else f"; computed together with correction {self.carrier.job.correction}"


class Joints:
    """The joints that workers have.

    Args:
        store: where jobs lie.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._given: dict[str, Joint] = {}

    def give(self, joint: Joint) -> None:
        """Note that a worker has a joint from now on."""
        for one in joint.entries:
            one.job.joined = None if one is joint.carrier else joint.carrier.job.id
        self._given[joint.carrier.job.id] = joint

    def of(self, entry: Entry) -> Joint:
        """Return the jobs that a worker has as one; a job alone if there are no others."""
        return self._given.get(entry.job.joined or entry.job.id) or Joint((entry,))

    def let_go(self, carrier: str) -> None:
        """Note that the worker does not have it any more."""
        self._given.pop(carrier, None)

    def share(self, joint: Joint, entry: Entry, version: int) -> None:
        """Give a job the result of its carrier; on a full disk only that one has it."""
        carrier = joint.carrier.job.id
        try:
            share_version(self._store.results(carrier), version, self._store.results(entry.job.id), entry.job.id)
        except (SemganError, JobError):
            logger.error("the result of a correction could not be written")

    def share_report(self, carrier: str, entry: Entry) -> None:
        """Give a job the report of the one that it was computed with."""
        if entry.job.id != carrier:
            share_report(self._store.results(carrier), self._store.results(entry.job.id))
