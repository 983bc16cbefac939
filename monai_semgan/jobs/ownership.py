"""Who has started a job, and who may end it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from monai_semgan.jobs.job_entries import Entry
from monai_semgan.jobs.job_errors import Forbidden


@dataclass(frozen=True)
class Asker:
    """Who asks for something.

    Attributes:
        owner: digest of the user or client; None if nobody says who asks. The name itself is not kept.
        may_all: whether the jobs of others may be ended, too.
    """

    owner: str | None = None
    may_all: bool = False

    @classmethod
    def named(cls, caller: str | None, may_all: bool = False) -> Asker:
        """Make one of the name of a user or client."""
        return cls(None if caller is None else hashlib.sha256(caller.encode()).hexdigest(), may_all)

    def may_change(self, owner: str | None) -> bool:
        """Tell whether what has this owner may be changed or ended: one's own, or what nobody owns."""
        return owner is None or owner == self.owner or self.may_all

    def check_may_end(self, entry: Entry) -> None:
        """Make sure that a job may be cancelled or removed: one's own, or one that nobody owns.

        Raises:
            Forbidden: if it is somebody else's.
        """
        if not self.may_change(entry.origin.owner):
            raise Forbidden("the job was started by somebody else, who alone may cancel or remove it")


NOBODY = Asker()
"""Who does not say who asks."""

SERVER = Asker(may_all=True)
"""The server itself."""
