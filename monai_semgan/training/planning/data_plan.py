"""`plan.json` of a run: what was decided about its data and why, and what each scan was like then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monai_semgan._version import __version__
from monai_semgan.data.cache import entry_item
from monai_semgan.data.datalist import SECTIONS, DataList, Entry
from monai_semgan.errors import SemganError, read_error
from monai_semgan.training.planning.decided_classes import PlannedClass
from monai_semgan.training.planning.decision import Decision
from monai_semgan.training.planning.scan_look import ScanLook
from monai_semgan.training.run_plan import PLAN
from monai_semgan.utils.file_state import State, file_state
from monai_semgan.utils.json_text import json_text

SCHEMA = 1
"""Version of the file's form."""


@dataclass(frozen=True)
class DataPlan:
    """What a run is to be trained on, and how.

    Args:
        source: data list; a path of this computer, which never leaves the run.
        decisions: with reasons.
        scans: of the list, as they were.
        classes: with where they are seen.
        doubts: sentences about what may be wrong with the data.
    """

    source: Path
    decisions: tuple[Decision, ...]
    scans: tuple[ScanLook, ...]
    classes: tuple[PlannedClass, ...]
    doubts: tuple[str, ...] = ()

    def value(self, name: str) -> Any:
        """The value of a decision; None if there is none of this name."""
        return next((one.value for one in self.decisions if one.name == name), None)

    @property
    def shares(self) -> dict[str, float]:
        """Share of a common budget by stage of `all`."""
        return dict(self.value("shares") or {})

    @property
    def batch_sizes(self) -> dict[str, int]:
        """Images per step and process by stage."""
        return dict(self.value("batch_sizes") or {})

    @property
    def modality(self) -> str | None:
        """Modality that the user has given for scans of which the list does not tell it."""
        word = next((one.word for one in self.decisions if one.name == "modality"), None)
        return str(word) if word is not None else None

    @property
    def text(self) -> str:
        """What `plan.json` holds."""
        content = {
            "schema": SCHEMA,
            "version": __version__,
            "list": str(self.source.resolve()),
            "decisions": [asdict(one) for one in self.decisions],
            "classes": [asdict(one) for one in self.classes],
            "doubts": list(self.doubts),
            "scans": [scan.to_dict() for scan in self.scans],
        }
        return json_text(content, indent=2, default=str) + "\n"


def find_plan(run: Path) -> DataPlan | None:
    """Read the plan of a run; None when there is none.

    Raises:
        SemganError: if the file is broken or of a newer version.
    """
    path = run / PLAN
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise read_error(error, path) from error
    except ValueError as error:
        raise _broken(path) from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(schema, int) or schema < 1:
        raise _broken(path)
    if schema > SCHEMA:
        problem = f"was made by a newer version (schema {schema}, this one knows {SCHEMA})"
        raise SemganError(problem, remedy="update monai_semgan", path=path)
    try:
        return _plan(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _broken(path) from error


def _plan(content: Mapping[str, Any]) -> DataPlan:
    return DataPlan(
        Path(content["list"]),
        tuple(Decision(**one) for one in content["decisions"]),
        tuple(ScanLook.from_dict(one) for one in content["scans"]),
        tuple(PlannedClass(**{**one, "colour": tuple(one["colour"])}) for one in content["classes"]),
        tuple(content["doubts"]),
    )


def _broken(path: Path) -> SemganError:
    return SemganError("holds no plan", remedy="delete it and plan again with `semgan plan`", path=path)


def changed_since(plan: DataPlan, datalist: DataList) -> list[str]:
    """Sentences on what differs between a list and its plan: scans, sections, labels, and the content of files.

    Files that were copied or touched, and have the same content, do not count.
    """
    before = {scan.name: scan for scan in plan.scans}
    now = {entry.name: (section, entry) for section in SECTIONS for entry in getattr(datalist, section)}
    found = [f'scan {name} of "{before[name].section}" is no longer in it' for name in before if name not in now]
    for name, (section, entry) in now.items():
        if name not in before:
            found.append(f'scan {name} of "{section}" is new')
        elif before[name].section != section:
            found.append(f'scan {name} was in "{before[name].section}" and is in "{section}"')
        elif before[name].patient != entry.patient:
            found.append(f"scan {name} was of patient {before[name].patient} and is of {entry.patient}")
        elif before[name].labelled != (entry.label is not None):
            found.append(f"scan {name} has {'a label now' if entry.label is not None else 'no label any more'}")
        elif _content(before[name].files) != _content(states_of(entry)):
            found.append(f"the files of scan {name} have other content")
    return found


def states_of(entry: Entry) -> tuple[State, ...]:
    """State of the image and of the label of an entry."""
    return tuple(file_state(value) for name, value in entry_item(entry).items() if name in ("image", "label"))


def _content(states: tuple[State, ...]) -> list[list[tuple[Any, ...]]]:
    """What a copy has too: sizes and digests, not times."""
    return [[(size, digest) for _, size, _, digest in state] for state in states]
