"""Scores of an earlier run count again only while image, label, names, model and settings are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from monai_semgan._version import __version__
from monai_semgan.bundle.digest import model_digest
from monai_semgan.utils.file_state import file_state, fingerprint

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.data.datalist import Entry
    from monai_semgan.evaluation.scores import PatientScore

WORDS = {
    "image": "image",
    "label": "label",
    "list": "modality or names in the list",
    "model": "model or version",
    "settings": "settings",
}
"""Parts of a state in words."""


def model_state(bundle: Bundle, settings: Mapping[str, Any]) -> dict[str, str]:
    """Hash what all scores of a run have in common: the model with its configuration, version and settings."""
    return {
        "model": fingerprint([model_digest(bundle.folder), __version__]),
        "settings": fingerprint({key: repr(value) for key, value in settings.items()}),
    }


def score_state(entry: Entry, common: Mapping[str, str]) -> dict[str, str]:
    """Hash what a score is made from, by part.

    Args:
        entry: with a label.
        common: see `model_state`.
    """
    assert entry.label is not None
    known = [list(entry.labelled)] if entry.labelled else []
    parts = {
        "image": fingerprint(file_state(entry.image)),
        "label": fingerprint(file_state(entry.label)),
        "list": fingerprint([entry.modality, [list(pair) for pair in entry.names], *known]),
        **common,
    }
    return {name: digest[:16] for name, digest in parts.items()}


def still_valid(
    before: Sequence[PatientScore], entries: Sequence[Entry], common: Mapping[str, str]
) -> tuple[dict[str, PatientScore], list[str]]:
    """Choose the scores that need not be computed again.

    Args:
        before: scores of an earlier run.
        entries: to be scored, with names.
        common: see `model_state`.

    Returns:
        Scores by name of the entry, and in words what is computed anew and why.
    """
    earlier = {score.key: score for score in before if not score.problem}
    kept: dict[str, PatientScore] = {}
    changed: dict[str, list[str]] = {}
    for entry in entries:
        score = earlier.get(entry.name) or earlier.get(entry.patient)
        if score is None:
            continue
        state = score_state(entry, common)
        if score.name == entry.name and dict(score.state) == state:
            kept[entry.name] = replace(score, patient=entry.patient)
        elif not score.state:
            changed.setdefault("an earlier version did not tell what they were made from", []).append(entry.name)
        else:
            parts = [WORDS[part] for part in state if score.state.get(part) != state[part]] or ["name"]
            changed.setdefault(f"{', '.join(parts)} changed", []).append(entry.name)
    return kept, [f"scored anew, since {why}: {_shown(names)}" for why, names in changed.items()]


def _shown(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
