"""Watches a folder or archive: what arrives there is segmented, once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from monai_semgan.cohort.arrivals import Arrival, ArrivalSource
from monai_semgan.cohort.cases import Case
from monai_semgan.cohort.cohort_settings import CohortSettings, case_key, input_state
from monai_semgan.cohort.records import DONE, SENT, Record, load_records, write_summary
from monai_semgan.cohort.watch_rules import WatchRules
from monai_semgan.data.scan_folder import BOOKKEEPING
from monai_semgan.errors import SemganError
from monai_semgan.utils.file_locks import take_lock

LOCK = "watch.lock"
LONGEST_WAIT = 3600.0
"""Seconds between two tries of a scan that an archive does not give, or whose results it does not take."""

SUMMARY_SHARE = 0.1
"""Of the time at most is spent on the table, which takes long when there are very many scans."""


class Runner(Protocol):
    """Segments scans with a model that is loaded."""

    def run_once(self, case: Case) -> Record:
        """Segment a scan; a failure is a record too."""


@dataclass(frozen=True)
class Look:
    """What was found at a source.

    Args:
        taken: scans that the rules take.
        others: scans that they leave out.
        single: series of single images.
        settled: scans that are worked off now: they have not changed since the look before.
        waiting: how many are looked at once more first.
    """

    taken: tuple[Arrival, ...]
    others: tuple[Arrival, ...]
    single: int
    settled: tuple[Case, ...]
    waiting: int


@dataclass(frozen=True)
class Outcome:
    """A scan that was worked off."""

    case: Case
    record: Record


@dataclass(frozen=True)
class Trouble:
    """The source cannot be looked at; told once until it can be again."""

    message: str


@dataclass(frozen=True)
class Back:
    """The source can be looked at again."""


Event = Look | Outcome | Trouble | Back


class Watch:
    """Knows what has been done, and does the rest.

    Args:
        source: where scans arrive.
        rules: which are taken.
        settings: what is done with them.
        output: folder of the results, which exists.
        make_runner: loads the model; called once.
        retry: try scans again that have failed before.
        every: seconds between two looks.
    """

    def __init__(
        self,
        source: ArrivalSource,
        rules: WatchRules,
        settings: CohortSettings,
        output: Path,
        make_runner: Callable[[], Runner],
        *,
        retry: bool = False,
        every: float = 10.0,
    ) -> None:
        self.source, self.rules, self.settings, self.output, self.every = source, rules, settings, output, every
        self._key = settings.key()
        self._make_runner, self._runner = make_runner, None  # type: tuple[Callable[[], Runner], Runner | None]
        self.records = load_records(output)
        self._retry = {name for name, record in self.records.items() if not self._complete(record)} if retry else set()
        self._seen: dict[str, str] = {}
        self._states: dict[str, tuple[str, str]] = {}
        self._tries: dict[str, tuple[int, float]] = {}
        self._taken: tuple[Arrival, ...] = ()
        self._table = (0.0, 0.0)

    def load(self) -> Runner:
        """Load the model, if it is not yet.

        Raises:
            SemganError: it cannot be used.
        """
        if self._runner is None:
            self._runner = self._make_runner()
        return self._runner

    def events(self, once: bool = False, sleep: Callable[[float], object] = time.sleep) -> Iterator[Event]:
        """Look and work until the block is left, or with `once` until what is there now is done.

        Raises:
            SemganError: the disk is full, the model cannot be used, or with `once` the source cannot be looked at.
        """
        trouble, held = False, None
        looks = 0
        while True:
            started = time.monotonic()
            try:
                look = self._look()
            except SemganError as error:
                if once:
                    raise
                if not trouble:
                    yield Trouble(str(error))
                trouble, held = True, None
                sleep(self.every)
                continue
            if trouble:
                yield Back()
            if held is not None:  # the archive answers: it is this scan alone
                yield held
            trouble, held = False, None
            looks += 1
            yield look
            for case in look.settled:
                outcome = Outcome(case, self._work(case))
                if outcome.record.again:  # perhaps the archive is down, which is told in one line for all scans
                    held = outcome
                    break
                yield outcome
            if once and held is None and (looks > 1 or not look.waiting):
                return
            sleep(max(0.0, self.every - (time.monotonic() - started)) if held is None else self.every)

    def counts(self, look: Look) -> Mapping[str, int]:
        """Count scans of a look: `finished`, those of them `otherwise` (with other settings or version), `failed`."""
        known = [(one.case, record) for one in look.taken if (record := self._current(one)) is not None]
        finished = [(case, record) for case, record in known if self._complete(record)]
        otherwise = [case for case, record in finished if record.key != case_key(self._key, case)]
        failed = sum(not self._complete(record) and not self._due(record) for _, record in known)
        return {"finished": len(finished), "otherwise": len(otherwise), "failed": failed}

    def summarise(self, organs: Sequence[str], now: bool = True) -> Path | None:
        """Write the table of all that has been done here, and of what is still to do.

        Args:
            organs: columns of volumes.
            now: even if it was written a moment ago.

        Raises:
            SemganError: it cannot be written.
        """
        last, took = self._table
        started = time.monotonic()
        if not now and (started - last) * SUMMARY_SHARE < took:
            return None
        here = {one.case.name: one.case for one in self._taken}
        gone = {name: Case(name, Path(), address=record.input) for name, record in self.records.items()}
        cases = {**gone, **here}
        changed = {one.case.name: "" for one in self._taken if self._current(one) is None}
        path = write_summary(self.output, [cases[name] for name in sorted(cases)], organs, changed)
        self._table = (time.monotonic(), time.monotonic() - started)
        return path

    def _look(self) -> Look:
        found = self.source.look()
        taken = tuple(one for one in found.found if self.rules.take(one))
        others = tuple(one for one in found.found if not self.rules.take(one))
        todo = [one for one in taken if self._is_open(one)]
        todo.sort(
            key=lambda one: self._tries.get(one.case.name, (0, 0.0))[0]
        )  # what goes on failing keeps none waiting
        settled = tuple(one.case for one in todo if self._seen.get(one.case.name) == one.seen)
        self._seen = {one.case.name: one.seen for one in taken}
        self._taken = taken
        return Look(taken, others, found.single, settled, len(todo) - len(settled))

    def _is_open(self, arrival: Arrival) -> bool:
        record = self._current(arrival)
        return record is None or (not self._complete(record) and self._due(record))

    def _current(self, arrival: Arrival) -> Record | None:
        """Return what is known of a scan as it is now; None if that was another input."""
        record = self.records.get(arrival.case.name)
        if record is None:
            return None
        if not record.state:  # of an earlier version
            return record if record.key == case_key(self._key, arrival.case) else None
        return record if record.state == self._state(arrival) else None

    def _state(self, arrival: Arrival) -> str:
        """Look into the files of a scan again only when there is something new."""
        seen, state = self._states.get(arrival.case.name, ("", ""))
        if seen != arrival.seen:
            state = input_state(arrival.case)
            self._states[arrival.case.name] = (arrival.seen, state)
        return state

    def _complete(self, record: Record) -> bool:
        """Tell whether nothing is left to do; results that somebody takes away or corrects are not made again."""
        return record.status == DONE and (not self.settings.send or record.sent == SENT)

    def _due(self, record: Record) -> bool:
        """Tell whether what is left to do is tried now."""
        if record.case in self._retry or (record.status == DONE and not record.sent):
            return True
        return record.again and time.monotonic() >= self._tries.get(record.case, (0, 0.0))[1]

    def _work(self, case: Case) -> Record:
        record = self.load().run_once(case)
        self.records[case.name] = record
        self._retry.discard(case.name)
        if record.again:
            tries = self._tries.get(case.name, (0, 0.0))[0] + 1
            wait = min(self.every * 2**tries, LONGEST_WAIT)
            self._tries[case.name] = (tries, time.monotonic() + wait)
        else:
            self._tries.pop(case.name, None)
        return record


@contextlib.contextmanager
def locked_output(output: Path) -> Iterator[None]:
    """Hold the folder of the results while the block runs.

    Raises:
        SemganError: another watch holds it, or it cannot be written.
    """
    problem = "another semgan watch writes into this folder"
    lock = take_lock(output / BOOKKEEPING / LOCK, problem, "end it, or choose another OUT", output)
    try:
        yield
    finally:
        lock.release()
