"""Which of the scans that arrive are segmented: rules by modality and description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from monai_semgan.cohort.arrivals import Arrival
from monai_semgan.dicomweb.archive import VOLUMES
from monai_semgan.errors import SemganError
from monai_semgan.modalities import canonical_modality


@dataclass(frozen=True)
class WatchRules:
    """Say which scans are taken.

    Args:
        modalities: CT, MR or both; a file that does not tell its own is taken.
        wanted: patterns such as `*liver*`, one of which has to fit a description of the scan, whatever the case of
            letters; all are taken when empty.
        unwanted: patterns none of which may fit.

    Raises:
        SemganError: a modality is none of volumes.
    """

    modalities: tuple[str, ...] = VOLUMES
    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        named = tuple(map(canonical_modality, self.modalities))
        if not named or not set(named) <= set(VOLUMES):
            raise SemganError(f"{','.join(self.modalities)} are not watched", remedy="use CT, MR, or CT,MR")
        object.__setattr__(self, "modalities", named)

    def take(self, arrival: Arrival) -> bool:
        """Tell whether a scan is segmented."""
        if arrival.modality and arrival.modality not in self.modalities:
            return False
        if self.wanted and not any(fits(pattern, arrival) for pattern in self.wanted):
            return False
        return not any(fits(pattern, arrival) for pattern in self.unwanted)

    def idle(self, arrivals: Sequence[Arrival]) -> list[str]:
        """Return the patterns that fit none of some scans: perhaps mistyped."""
        patterns = (*self.wanted, *self.unwanted)
        return [pattern for pattern in patterns if not any(fits(pattern, one) for one in arrivals)]


def fits(pattern: str, arrival: Arrival) -> bool:
    """Tell whether a pattern fits a whole description of a scan, whatever the case of letters."""
    return any(fnmatchcase(text.casefold(), pattern.casefold()) for text in arrival.descriptions)
