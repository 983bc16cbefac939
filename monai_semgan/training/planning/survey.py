"""All scans of a data list looked at once, several at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monai_semgan.data.datalist import SECTIONS, DataList, Entry
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.training.planning.scan_look import ScanLook, look_at
from monai_semgan.utils.cores import usable_cores

if TYPE_CHECKING:
    from monai_semgan.utils.progress import Progress

MOST_AT_A_TIME = 4
"""Each scan that is looked at is in memory as a whole."""

LOOK_SECONDS = 0.2
"""Between two questions whether the user wants to stop."""


@dataclass(frozen=True)
class Survey:
    """What the scans of a list are like, in the list's order.

    Args:
        scans: of all sections.
        names: structure name by id that the list tells; empty where it does not.
    """

    scans: tuple[ScanLook, ...]
    names: dict[int, str]

    def section(self, name: str) -> list[ScanLook]:
        """The scans of a section."""
        return [scan for scan in self.scans if scan.section == name]

    @property
    def decisive(self) -> list[ScanLook]:
        """The scans that decide: those of the training list; what is tested on must not."""
        return self.section("training")

    @property
    def labelled(self) -> list[ScanLook]:
        """Scans with a label that are trained or validated on."""
        return [scan for scan in self.scans if scan.labelled and scan.section != "test"]


def survey(datalist: DataList, progress: Progress, modality: str | None = None) -> Survey:
    """Look at every scan of a list, in threads: reading and arithmetic of large arrays leave Python to others.

    Args:
        datalist: what to read.
        progress: told after every scan; it can stop.
        modality: of the scans of which the list does not tell it.

    Raises:
        SemganError: naming the first scan of the list that cannot be used, and how many others there are.
        Cancelled: if the user wants to stop.
    """
    entries = [(entry, section) for section in SECTIONS for entry in getattr(datalist, section)]
    found: dict[int, ScanLook] = {}
    errors: dict[int, SemganError] = {}
    with ThreadPoolExecutor(min(usable_cores(), MOST_AT_A_TIME), "look") as pool:
        jobs = {pool.submit(look_at, *one, modality): number for number, one in enumerate(entries)}
        try:
            for job in _as_they_end(list(jobs), progress):
                error = job.exception()
                if isinstance(error, SemganError):
                    errors[jobs[job]] = error
                elif error is not None:
                    raise error
                else:
                    found[jobs[job]] = job.result()
                progress.update(len(found) + len(errors), len(entries), "Looking at the scans")
        finally:
            pool.shutdown(cancel_futures=True)
    _refuse(errors, entries)
    names = next((dict(entry.names) for entry, _ in entries if entry.names), {})
    return Survey(tuple(found[number] for number in range(len(entries))), names)


def _as_they_end(jobs: Sequence[Future[ScanLook]], progress: Progress) -> Iterator[Future[ScanLook]]:
    waiting = set(jobs)
    while waiting:
        done, waiting = wait(waiting, LOOK_SECONDS, FIRST_COMPLETED)
        yield from done
        if progress.should_stop() and waiting:
            raise Cancelled


def _refuse(errors: dict[int, SemganError], entries: Sequence[tuple[Entry, str]]) -> None:
    if not errors:
        return
    first = errors[min(errors)]
    more = f" (and {len(errors) - 1} more scans of the list cannot be used)" if len(errors) > 1 else ""
    path = first.path or entries[min(errors)][0].image
    raise SemganError(f"{first.problem}{more}", remedy=first.remedy, path=path)
