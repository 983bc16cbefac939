"""Whether a copy is better than the bundle, and the copy in its place."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError

from .console import say


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
