"""Train the shipped model again, from a data list to a filled bundle with its figures, on one GPU or, slower, the CPU.

    python benchmarks/protocol.py --data $SEMGAN_DATA --out lists
    python scripts/reproduce.py --data lists/ct.json --out runs/abdomen --part 9m     # again, until it is done
    python scripts/reproduce.py --data lists/ct.json --out runs/abdomen --install     # if it is better than the record
    python scripts/reproduce.py --smoke --out runs/smoke                              # tiny, on generated patients

What is trained, how and for how long stands in the record of the bundle, `models/model.json`, and nowhere else. A
stage that was trained in several pieces is trained in one here, with the settings of the last piece and the images of
all. The record does not tell of the generator's training, which was a prototype's: the stage `gan` takes the settings
of the bundle's `configs/train_gan.json` and `--gan-budget`.

A call goes on where the last one was, and ends after `--part`, with exit code 130 as after Ctrl-C; both save first, and
a kill costs a minute. A volume that is being scored when the part ends is finished. When all is trained, a copy of the
bundle in OUT/bundle is filled and scored on the validation volumes. `reproduce.json` holds figures, versions, machine
and seconds. The bundle itself changes with `--install` only, and only if no mode's mean Dice is below the record's and
one is above, on the same patients.

For a machine that has no volumes, pack the slices where they are (30 MB for 24 CTs), and bring OUT back to be scored:

    python scripts/reproduce.py --data lists/ct.json --pack packed
    python scripts/reproduce.py --data packed --out runs/abdomen --part 9m
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from monai_semgan.bundle.labels import RECORD, bundle_folder, read_record  # noqa: E402
from monai_semgan.errors import Cancelled, SemganError  # noqa: E402
from monai_semgan.utils.files import written_aside  # noqa: E402

STAGES = ("gan", "encoder", "student")
MODES = ("encoder", "preview", "invert", "refine")
STOPPED = 130

RUN = Path("runs/main")
"""Folder of the run, below OUT."""

OF_THE_SLICES = ("size", "pixel_mm", "num_classes", "window", "percentiles", "field_of_view", "label_ids", "patients")
"""Recorded with a training's settings, but chosen when the slices are packed."""

OPTIONS = {"seed": "--seed", "labelled": "--labelled", "batch_size": "--batch-size"}
"""Recorded settings that have an option of `semgan train`; all others are given with `--set`."""

LEAST_SECONDS = 60.0
"""What comes first in a part gets so long even if the part is shorter, so that every part brings something."""

SMOKE: dict[str, dict[str, Any]] = {
    "slices": {"size": 32, "pixel_mm": 10.0},
    "gan": {
        "latent_dim": 16,
        "mapping_layers": 2,
        "channels": {"4": 16, "8": 16, "16": 16, "32": 8},
        "joint_channels": 8,
        "quality_images": 32,
        "batch_size": 4,
    },
    "encoder": {"channels": [8, 8, 8, 8, 8], "render_size": 0, "batch_size": 4, "pool_chunk": 8, "pool_chunks": 2},
    "student": {"channels": [8, 8, 16], "batch_size": 4, "pool_chunk": 8, "pool_chunks": 2},
}
SMOKE_STEPS = 3


@dataclass(frozen=True)
class Training:
    """One training of a stage, as the record tells it.

    Attributes:
        stage: `gan`, `encoder` or `student`.
        settings: of the stage, and what all stages share.
        steps: how many; None for as long as the budget lasts.
        budget: time, where the record tells no steps.
        seconds: what it took on the record's machine; None if that is not known.
    """

    stage: str
    settings: Mapping[str, Any]
    steps: int | None
    budget: str | None = None
    seconds: float | None = None


class Part:
    """Time of one call.

    Args:
        seconds: how long; None without an end.
    """

    def __init__(self, seconds: float | None) -> None:
        self.end = None if seconds is None else time.monotonic() + seconds
        self.begun = False

    def left(self) -> float | None:
        """Seconds that a further piece of work may take; None without an end.

        Raises:
            Cancelled: if there are none, and something has been done already.
        """
        if self.end is None:
            return None
        left = self.end - time.monotonic()
        if left <= 0 and self.begun:
            raise Cancelled
        first, self.begun = not self.begun, True
        return max(left, LEAST_SECONDS) if first else left


@dataclass
class State:
    """What `reproduce.json` holds.

    Attributes:
        path: of the file.
        content: of the file.
    """

    path: Path
    content: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, out: Path, plan: Sequence[Training], patients: str) -> State:
        """The state of an earlier call, or a new one.

        Raises:
            SemganError: if that was begun otherwise.
        """
        state = cls(out / "reproduce.json")
        if state.path.exists():
            state.content = read_json(state.path)
        asked = {"plan": json.loads(json.dumps([asdict(training) for training in plan])), "patients": patients}
        for name, value in asked.items():
            if state.content.setdefault(name, value) != value:
                other = "other patients" if name == "patients" else "another record or other settings"
                raise SemganError(f"was begun with {other}", remedy="choose another --out", path=out)
        return state

    def update(self, **values: Any) -> None:
        """Keep values, on disk too."""
        self.content |= values
        write_json(self.path, self.content)


class Reproduction:
    """The work of one call.

    Args:
        arguments: of the command line.
        bundle: whose record is followed.
        plan: the trainings in their order.
        part: time of this call.
    """

    def __init__(self, arguments: argparse.Namespace, bundle: Path, plan: Sequence[Training], part: Part) -> None:
        self.arguments, self.bundle, self.plan, self.part = arguments, bundle, plan, part
        self.out: Path = arguments.out
        self.data: Path = arguments.data
        self.state = State.read(self.out, plan, patients_digest(self.data))

    def run(self) -> None:
        """Do what is left.

        Raises:
            Cancelled: if the part is over, or Ctrl-C was pressed.
        """
        self.state.update(finished=self.state.content.get("finished", False))
        if self.pending():
            slices = self.packed()
            for training in self.pending():
                self.train(training, slices)
        if not self.state.content.get("filled"):
            self.fill()
        if self.data.is_dir():
            say("all is trained; packed slices cannot be scored: call again with the data list, where the volumes are")
            return
        for mode in MODES:
            self.evaluate(mode)
        self.finish()

    def pending(self) -> list[Training]:
        """Trainings that have not come to their end."""
        return [training for training in self.plan if not self.record(training).get("finished")]

    def record(self, training: Training) -> dict[str, Any]:
        """What a training has left of itself."""
        path = self.out / RUN / training.stage / "record.json"
        return read_json(path) if path.exists() else {}

    def packed(self) -> Path:
        """The slices that all trainings share."""
        if self.data.is_dir():
            return self.data
        folder = self.out / "slices"
        if not self.state.content.get("packed"):
            self.part.left()
            pack(self.data, folder, self.bundle, self.plan)
            self.state.update(packed=True)
        return folder

    def train(self, training: Training, slices: Path) -> None:
        """Go on with a training until it is finished.

        Raises:
            Cancelled: if it is not, in this part.
        """
        left = self.part.left()
        say(f"{training.stage}: {self.progress(training)}")
        slot = None if left is None else max(1.0, left - min(60.0, 0.15 * left))
        command = ["train", *train_arguments(training, self.out)]
        command += ["--data", str(slices), "--device", self.arguments.device, "--resume"]
        command += ["--slot", f"{slot:.0f}s"] if slot is not None else []
        code = run_child([sys.executable, "-m", "monai_semgan", *command], left)
        record = self.record(training)
        self.state.update(trainings={one.stage: brief(self.record(one)) for one in self.plan})
        if code not in (0, STOPPED):
            raise SystemExit(code)  # it has told why
        if not record.get("finished"):
            raise Cancelled

    def progress(self, training: Training) -> str:
        """Where a training is and how long everything may still take, going by its speed or by the record's."""
        done = self.record(training)
        goal = f"{training.steps} steps" if training.steps else f"{training.budget}"
        where = f"{done['step']} steps are done of {goal}" if done.get("step") else f"{goal} to do"
        waits = [self.wait(one) for one in self.pending()]
        if training.steps is not None and waits[0] is None or None in waits:
            return where
        return f"{where}, about {duration(sum(wait or 0.0 for wait in waits))} of training left"

    def wait(self, training: Training) -> float | None:
        """Seconds that a training may still take; None if nothing tells."""
        done = self.record(training)
        step, seconds = done.get("step", 0), float(done.get("seconds", 0.0))
        if training.steps is None:
            return max(0.0, seconds_of(training.budget or "0s") - seconds)
        if step:
            return (training.steps - step) * seconds / step
        if training.seconds is None:
            return None
        known = [one for one in self.plan if one.seconds and one.steps and self.record(one).get("step")]
        speed = [
            float(self.record(one)["seconds"]) / self.record(one)["step"] * (one.steps or 1) / (one.seconds or 1.0)
            for one in known
        ]
        return training.seconds * (speed[-1] if speed else 1.0)

    def fill(self) -> None:
        """Make the copy of the bundle and take the weights into it."""
        self.part.left()
        say("filling a copy of the bundle")
        from monai_semgan.authoring.fill import fill_bundle

        copy = self.out / "bundle"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.bundle, copy, ignore=shutil.ignore_patterns("runs", ".*"))
        if self.arguments.smoke:
            _make_tiny(copy)
        fill_bundle(copy, [self.out / RUN])
        self.state.update(filled=True)

    def evaluate(self, mode: str) -> None:
        """Score a mode on the validation volumes, going on after the patients that are scored already.

        Raises:
            Cancelled: if the part ends before that; the patients that are done are kept.
        """
        scores = self.out / "evaluation" / mode / "scores.json"
        scores.parent.mkdir(parents=True, exist_ok=True)
        if mode in self.state.content.get("dice", {}):
            return
        limit = self.part.left()
        say(f"scoring {mode}")
        from monai_semgan.bundle.load import load_bundle
        from monai_semgan.data.datalist import load_datalist
        from monai_semgan.evaluation.study import evaluate_bundle
        from monai_semgan.evaluation.tables import read_study, write_study
        from monai_semgan.utils.progress import BarProgress

        started = time.perf_counter()
        entries = [entry for entry in load_datalist(self.data).validation if entry.label is not None]
        known = read_study(scores).scored if scores.exists() else ()
        options: dict[str, Any] = {"steps": 2, "with_distance": False} if self.arguments.smoke else {}
        if mode == "preview":
            options.pop("steps", None)
        with Deadline(limit) as deadline, BarProgress(f"scoring {mode}", token=deadline) as progress:  # type: ignore[arg-type]
            study = evaluate_bundle(
                load_bundle(self.out / "bundle", self.arguments.device),
                entries,
                mode,
                known=known,
                after=lambda study: write_study(study, scores.parent),
                progress=progress,
                **options,
            )
        write_study(study, scores.parent)
        if study.missing:
            first = study.missing[0]
            raise SemganError(f"{first.title} could not be scored: {first.problem}", remedy="correct the data list")
        seconds = self.state.content.get("scoring_seconds", {}) | {mode: round(time.perf_counter() - started, 1)}
        dice = self.state.content.get("dice", {}) | {mode: {k: round(v, 4) for k, v in study.dice.items()}}
        self.state.update(dice=dice, scoring_seconds=seconds)

    def finish(self) -> None:
        """Compare with the record, and put everything into the record of the copy."""
        if not self.state.content["finished"]:
            last = self.record(self.plan[-1])
            found = comparison(self.scores(), read_record(self.bundle))
            about = {"versions": last.get("versions"), "machine": last.get("machine")}
            self.complete_record(about)
            self.state.update(comparison=found, **about, finished=True)
        for mode, dice in self.state.content["dice"].items():
            say(f"{mode:8} mean Dice {dice.get('mean', float('nan')):.4f}")
        say(f"wrote {self.state.path} and {self.out / 'bundle'}")

    def scores(self) -> dict[str, dict[str, Any]]:
        """The study of every mode, as JSON."""
        return {mode: read_json(self.out / "evaluation" / mode / "scores.json") for mode in MODES}

    def complete_record(self, about: Mapping[str, Any]) -> None:
        """Write all trainings and figures into the copy, in the form of the shipped record."""
        trainings = []
        for training in self.plan:
            record = self.record(training)
            data = {k: len(v) if isinstance(v, list) else v for k, v in record.get("data", {}).items()}
            kept = ("stage", "step", "seconds", "images", "seed", "settings", "versions", "machine", "metrics")
            trainings.append({name: record[name] for name in kept if name in record} | {"data": data})
        studies = self.scores()
        content = {
            "dice": {"validation": {mode: study["dice"] for mode, study in studies.items()}},
            "accuracy": {"validation": {"methods": studies, "section": "validation", **about}},
            "training": trainings,
        }
        write_json(self.out / "bundle" / RECORD, content)


class Deadline:
    """What a bar asks whether to stop: a clock, in place of Ctrl-C, which ends the scoring of a patient at once.

    Args:
        seconds: until then; None for never.
    """

    def __init__(self, seconds: float | None) -> None:
        self.end = None if seconds is None else time.monotonic() + seconds

    @property
    def cancelled(self) -> bool:
        """Whether the time is over."""
        return self.end is not None and time.monotonic() > self.end

    def __enter__(self) -> Deadline:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def read_plan(bundle: Path, gan_budget: str) -> list[Training]:
    """The trainings that made a bundle, in the order in which they build on one another.

    Raises:
        SemganError: if its record tells of none.
    """
    content = read_record(bundle).get("training", [])
    records = [{"stage": k, **v} for k, v in content.items()] if isinstance(content, dict) else list(content)
    if not records:
        raise SemganError("tells of no training", remedy="name a bundle with a record", path=bundle / RECORD)
    shared = {k: v for k, v in records[-1]["settings"].items() if k in (*OF_THE_SLICES, "seed", "labelled")}
    if all(record["stage"] != "gan" for record in records):
        records.append({"stage": "gan", "settings": shared | gan_settings(bundle)})
    pieces = {stage: [record for record in records if record["stage"] == stage] for stage in STAGES}
    return [_whole(stage, found, gan_budget) for stage, found in pieces.items() if found]


def _whole(stage: str, pieces: Sequence[Mapping[str, Any]], budget: str) -> Training:
    """One training of as many images as several had together."""
    settings = pieces[-1]["settings"]
    images = sum(piece.get("images", 0) for piece in pieces)
    if not images:
        return Training(stage, settings, None, budget)
    steps = math.ceil(images / settings["batch_size"])
    return Training(stage, settings, steps, None, sum(piece.get("seconds") or 0.0 for piece in pieces) or None)


def gan_settings(bundle: Path) -> dict[str, Any]:
    """The settings of the bundle's configuration that trains the generator, with references to sections resolved."""
    path = bundle / "configs" / "train_gan.json"
    config = read_json(path) if path.exists() else {}
    found = {}
    for name, value in config.get("settings", {}).items():
        if isinstance(value, str) and value.startswith("@"):
            section, _, key = value[1:].partition("#")
            value = config[section][key]
        found[name] = value
    return found


def smoke_plan(plan: Sequence[Training]) -> list[Training]:
    """The same trainings with tiny networks and a few steps."""
    tiny = [{**one.settings, **SMOKE["slices"], **SMOKE[one.stage]} for one in plan]
    return [
        replace(one, settings=settings, steps=SMOKE_STEPS, budget=None, seconds=None)
        for one, settings in zip(plan, tiny, strict=True)
    ]


def _make_tiny(bundle: Path) -> None:
    """Give a copy of the bundle the slices of `--smoke`."""
    for path in (bundle / "configs").glob("*.json"):
        content = read_json(path)
        if "size" in content.get("slices", {}):
            write_json(path, content | {"slices": content["slices"] | SMOKE["slices"]})


def train_arguments(training: Training, out: Path) -> list[str]:
    """Arguments of `semgan train` for a training."""
    options = [training.stage, "--out", str(out / RUN)]
    for name, value in training.settings.items():
        if name in OF_THE_SLICES or (name == "labelled" and value == -1):
            continue
        named = name in OPTIONS
        options += [OPTIONS[name], str(value)] if named else ["--set", f"{name}={json.dumps(value)}"]
    for name, option in (("size", "--size"), ("pixel_mm", "--pixel-mm"), ("num_classes", "--classes")):
        options += [option, str(training.settings[name])] if name in training.settings else []
    options += ["--steps", str(training.steps)] if training.steps else []
    return options + (["--budget", training.budget] if training.budget else [])


def pack(datalist: Path, folder: Path, bundle: Path, plan: Sequence[Training]) -> None:
    """Cut the slices of a data list as the bundle cuts them, at the size of the trainings, into a few small files."""
    say(f"packing slices into {folder}")
    from monai_semgan.bundle.labels import CONFIG
    from monai_semgan.slicing.preprocessing import Preprocessing
    from monai_semgan.training.datasets import pack_slices
    from monai_semgan.utils.progress import BarProgress

    section = {k: v for k, v in read_json(bundle / CONFIG)["slices"].items() if not k.startswith("_")}
    section |= {k: v for k, v in plan[-1].settings.items() if k in OF_THE_SLICES and k != "patients"}
    with BarProgress("packing") as progress:
        pack_slices(datalist, folder, Preprocessing(**section), progress)
    shutil.rmtree(folder / "cache", ignore_errors=True)


def patients_digest(data: Path) -> str:
    """Hash of the patients of every section, the same for a data list and for the slices packed from it.

    Raises:
        SemganError: if the data cannot be read.
    """
    if data.is_dir():
        path = data / "patients.json"
        if not path.exists():
            raise SemganError("no packed slices", remedy="pack them with --pack", path=data)
        sections = read_json(path)
    else:
        from monai_semgan.data.datalist import SECTIONS, load_datalist

        entries = load_datalist(data)
        sections = {name: [entry.patient for entry in getattr(entries, name)] for name in SECTIONS}
    content = {name: sorted(patients) for name, patients in sections.items() if patients}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def generated_patients(folder: Path) -> Path:
    """Write three patients made in code, and their data list; once."""
    path = folder / "datalist.json"
    if path.exists():
        return path
    from tests.phantoms import grid, labels_at, patient, points_of, save_nifti

    folder.mkdir(parents=True, exist_ok=True)
    affine, shape = grid((10.0, 10.0, 25.0))
    content: dict[str, Any] = {"training": [], "validation": []}
    for number in range(3):
        files = {kind: f"{kind}_{number}.nii.gz" for kind in ("image", "label")}
        save_nifti(folder / files["image"], patient(affine, shape, seed=number).array, affine)
        save_nifti(folder / files["label"], labels_at(points_of(affine, shape)), affine)
        entry = {**files, "patient": f"generated_{number}", "modality": "CT"}
        content["training" if number < 2 else "validation"].append(entry)
    write_json(path, content)
    return path


def comparison(measured: Mapping[str, Mapping[str, Any]], record: Mapping[str, Any]) -> dict[str, Any]:
    """Mean Dice of every mode beside that of the record, on the same patients.

    Args:
        measured: study of every mode, as JSON.
        record: of a bundle.

    Returns:
        `modes`: `measured` and `record` by mode; `better`: whether none is worse and one better; `reason`: of that.
    """
    patients = {one["patient"] for one in measured["preview"]["patients"]}
    for part in record.get("accuracy", {}).values():
        methods = part["methods"]
        if not all(mode in methods and patient_names(methods[mode]) == patients for mode in measured):
            continue
        modes = {
            mode: {"measured": round(study["dice"]["mean"], 4), "record": round(methods[mode]["dice"]["mean"], 4)}
            for mode, study in measured.items()
        }
        worse = [mode for mode, pair in modes.items() if pair["measured"] < pair["record"]]
        above = [mode for mode, pair in modes.items() if pair["measured"] > pair["record"]]
        told = worse or above
        reason = "no mode has a higher mean Dice than the record"
        if told:
            word = "below" if worse else "above"
            pairs = (f"{mode} {modes[mode]['measured']:.4f}, {modes[mode]['record']:.4f}" for mode in told)
            reason = f"mean Dice {word} the record's: {'; '.join(pairs)}"
        return {"modes": modes, "better": bool(above) and not worse, "reason": reason}
    return {"modes": {}, "better": False, "reason": "the record has no figures of these patients"}


def patient_names(study: Mapping[str, Any]) -> set[str]:
    """Patients of a study, which is a mapping in the shipped record and a list in `scores.json`."""
    patients = study["patients"]
    return set(patients) if isinstance(patients, Mapping) else {one["patient"] for one in patients}


def install(copy: Path, bundle: Path, state: Mapping[str, Any]) -> None:
    """Put a filled copy in the place of a bundle.

    Raises:
        SemganError: if it is not finished, or not better.
    """
    if not state.get("finished"):
        raise SemganError("nothing to install yet", remedy="call again without --install until all is scored")
    found = state["comparison"]
    if not found["better"]:
        raise SemganError(f"not installed: {found['reason']}", remedy=f"look at {copy.parent / 'reproduce.json'}")
    fresh, former = (bundle.with_name(f".{bundle.name}.{word}") for word in ("new", "former"))
    for folder in (fresh, former):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(copy, fresh)
    bundle.rename(former)
    fresh.rename(bundle)
    shutil.rmtree(former)
    say(f"installed into {bundle}: {found['reason']}")
    say(f"the out-of-domain score went with the old weights: semgan calibrate --bundle {bundle}")


def run_child(command: Sequence[str], limit: float | None) -> int:
    """Run a process that saves when it is interrupted, and interrupt it when time is over or Ctrl-C is pressed.

    Returns:
        Its exit code; 130 if it was interrupted.

    Raises:
        Cancelled: once it has ended after Ctrl-C.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), *paths())))}
    apart: dict[str, Any] = {}
    if os.name == "posix":  # else Ctrl-C would reach it twice, and the second one means: at once
        apart = {"start_new_session": True, "preexec_fn": _end_with_parent}
    process = subprocess.Popen(command, env=environment, **apart)
    end = None if limit is None else time.monotonic() + limit
    pressed = False
    while True:
        try:
            code = process.wait(None if end is None else max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            end = None
            _interrupt(process)
        except KeyboardInterrupt:
            pressed, end = True, None
            _interrupt(process)
        else:
            break
    if pressed:
        raise Cancelled
    return STOPPED if code == -signal.SIGINT else code


def paths() -> list[str]:
    """What the user has on the path of modules already."""
    return os.environ.get("PYTHONPATH", "").split(os.pathsep)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":  # elsewhere Ctrl-C reaches it by itself
        process.send_signal(signal.SIGINT)


def _end_with_parent() -> None:
    """Do not train on, unseen, when this script is killed; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def brief(record: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth telling of a training."""
    kept = ("step", "images", "seconds", "finished", "metrics")
    return {name: record[name] for name in kept if name in record}


def seconds_of(text: str) -> float:
    """Seconds of a time such as 9m, 1h30m or 90.

    Raises:
        ValueError: if it is none.
    """
    total, number = 0.0, ""
    for letter in text.strip().lower():
        if letter in "hms":
            total, number = total + float(number) * {"h": 3600, "m": 60, "s": 1}[letter], ""
        else:
            number += letter
    total += float(number) if number else 0.0
    if not text.strip() or total <= 0:
        raise ValueError(text)
    return total


def time_text(text: str) -> str:
    """Type of options that take a time."""
    try:
        seconds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 9m or 1h30m") from error
    return text


def duration(seconds: float) -> str:
    """A time in words."""
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file.

    Raises:
        SemganError: if it cannot be read.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SemganError(f"cannot be read ({error})", remedy="choose another --out or repair it", path=path) from error
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def say(line: str) -> None:
    """A line for people."""
    print(line, flush=True)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, metavar="LIST", help="data list (JSON), or packed slices")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of everything that is made")
    parser.add_argument("--part", type=time_text, metavar="TIME", help="end this call after a time such as 9m")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="whose record is followed (default: the shipped)")
    parser.add_argument("--gan-budget", type=time_text, default="25m", metavar="TIME", help="(default 25m)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument("--install", action="store_true", help="replace the bundle if the figures are better")
    parser.add_argument("--pack", type=Path, metavar="DIR", help="only pack the slices, for a machine without volumes")
    parser.add_argument("--smoke", action="store_true", help="tiny networks, three steps, patients made in code")
    arguments = parser.parse_args(argv)
    if (arguments.data is None) == (not arguments.smoke):
        parser.error("give --data LIST, or --smoke")
    if arguments.out is None and arguments.pack is None:
        parser.error("give --out DIR, or --pack DIR")
    if arguments.data is not None and not arguments.data.exists():
        parser.error(f"{arguments.data}: no such data list or folder of packed slices")
    return arguments


def work(arguments: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    bundle = bundle_folder(arguments.bundle).resolve()
    plan = read_plan(bundle, arguments.gan_budget)
    if arguments.smoke:
        plan = smoke_plan(plan)
        arguments.data = generated_patients((arguments.out or arguments.pack) / "patients")
    if arguments.pack is not None:
        pack(arguments.data, arguments.pack, bundle, plan)
        say(f"wrote {arguments.pack}")
        return
    part = Part(None if arguments.part is None else seconds_of(arguments.part))
    reproduction = Reproduction(arguments, bundle, plan, part)
    reproduction.run()
    if arguments.install:
        install(arguments.out / "bundle", bundle, reproduction.state.content)


def main(argv: Sequence[str] | None = None) -> int:
    """Run, and turn every trouble into one line and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        arguments = parse(argv)
        work(arguments)
    except (KeyboardInterrupt, Cancelled):
        say("stopped; the same command goes on")
        return STOPPED
    except SemganError as error:
        print(f"reproduce: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
