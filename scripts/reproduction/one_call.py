"""The work of one call: whatever is left of trainings, filling, scoring and the record."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_semgan.bundle.labels import RECORD, read_record

from .call_time import Part
from .console import say
from .installation import comparison
from .json_files import write_json
from .packed_slices import pack, patients_digest
from .run_state import State
from .scoring import MODES, Scoring
from .smoke import make_tiny
from .training_plan import Training
from .trainings import RUN, Trainings


class Reproduction:
    """The work of one call.

    Args:
        out: folder of everything that is made.
        data: data list, or packed slices.
        bundle: whose record is followed.
        plan: the trainings in their order.
        part: time of this call.
        device: that trains and segments.
        smoke: everything in miniature.
    """

    def __init__(
        self, out: Path, data: Path, bundle: Path, plan: Sequence[Training], part: Part, device: str, smoke: bool
    ) -> None:
        self._out, self._data, self._bundle, self._plan, self._part = out, data, bundle, plan, part
        self._smoke = smoke
        self.state = State.read(out, plan, patients_digest(data))
        self._trainings = Trainings(plan, out, device, part, self.state)
        self._scoring = Scoring(out, data, device, smoke, part, self.state)

    def run(self) -> None:
        """Do what is left.

        Raises:
            Cancelled: if the part is over, or Ctrl-C was pressed.
        """
        self.state.update(finished=self.state.content.get("finished", False))
        if self._trainings.pending():
            slices = self._packed()
            for training in self._trainings.pending():
                self._trainings.train(training, slices)
        if not self.state.content.get("filled"):
            self._fill()
        if self._data.is_dir():
            say("all is trained; packed slices cannot be scored: call again with the data list, where the volumes are")
            return
        for mode in MODES:
            self._scoring.evaluate(mode)
        self._finish()

    def _packed(self) -> Path:
        """The slices that all trainings share."""
        if self._data.is_dir():
            return self._data
        folder = self._out / "slices"
        if not self.state.content.get("packed"):
            self._part.left()
            pack(self._data, folder, self._bundle, self._plan)
            self.state.update(packed=True)
        return folder

    def _fill(self) -> None:
        """Make the copy of the bundle and take the weights into it."""
        self._part.left()
        say("filling a copy of the bundle")
        from monai_semgan.authoring.fill import fill_bundle

        copy = self._out / "bundle"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self._bundle, copy, ignore=shutil.ignore_patterns("runs", ".*"))
        if self._smoke:
            make_tiny(copy)
        fill_bundle(copy, [self._out / RUN])
        self.state.update(filled=True)

    def _finish(self) -> None:
        """Compare with the record, and put everything into the record of the copy."""
        if not self.state.content["finished"]:
            last = self._trainings.record(self._plan[-1])
            found = comparison(self._scoring.scores(), read_record(self._bundle))
            about = {"versions": last.get("versions"), "machine": last.get("machine")}
            self._complete_record(about)
            self.state.update(comparison=found, **about, finished=True)
        for mode, dice in self.state.content["dice"].items():
            say(f"{mode:8} mean Dice {dice.get('mean', float('nan')):.4f}")
        say(f"wrote {self.state.path} and {self._out / 'bundle'}")

    def _complete_record(self, about: Mapping[str, Any]) -> None:
        """Write all trainings and figures into the copy, in the form of the shipped record."""
        trainings = []
        for training in self._plan:
            record = self._trainings.record(training)
            data = {k: len(v) if isinstance(v, list) else v for k, v in record.get("data", {}).items()}
            kept = ("stage", "step", "seconds", "images", "seed", "settings", "versions", "machine", "metrics")
            trainings.append({name: record[name] for name in kept if name in record} | {"data": data})
        studies = self._scoring.scores()
        content = {
            "dice": {"validation": {mode: study["dice"] for mode, study in studies.items()}},
            "accuracy": {"validation": {"methods": studies, "section": "validation", **about}},
            "training": trainings,
        }
        write_json(self._out / "bundle" / RECORD, content)
