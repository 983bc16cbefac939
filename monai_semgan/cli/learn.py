"""`semgan learn`: a new structure from a few labelled scans, and the versions of a model."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.cli.arguments import (
    bar,
    model_options,
    name_column,
    non_negative_int,
    positive_int,
    say,
    threads_option,
)
from monai_semgan.errors import Cancelled, SemganError

if TYPE_CHECKING:
    from monai_semgan.bundle.model_versions import ModelVersion, VersionStore
    from monai_semgan.data.datalist import Entry
    from monai_semgan.learning.new_structures import NewStructure
    from monai_semgan.utils.progress import Progress

COPIES = 2
"""Of a bundle, which learning writes: what it makes, and the version of it."""

DESCRIPTION = """\
Learn a structure that the model does not know, from one to five labelled scans, in minutes.

DATA is a data list, or a folder with scan.nii.gz beside scan_label.nii.gz or with images/ beside labels/. What the
model knows stays as it is, to the voxel: a small head beside it is fitted, which takes what was background. The
result is a version of the model in ROOT, in use from then on; the weights that it came from are never changed.
With --tune the model itself is trained on, also for structures that it knows, and is held to what it knew; a version
whose old structures have become worse is refused.

  semgan learn scans --structure aorta --versions models       the labels tell their names, or are masks
  semgan learn scans --structure aorta --label-id 8 --versions models
  semgan learn scans --tune --versions models                  better at what the labels show
  semgan learn --list --versions models
  semgan learn --use 0 --versions models                       back to the model as shipped
  semgan segment ct.nii.gz -o ct_label.nii.gz --bundle models/1
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "learn",
        parents=[common],
        help="teach the model a new structure from a few labelled scans",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "data", type=Path, nargs="?", metavar="DATA", help="data list (JSON) or folder of labelled scans"
    )
    parser.add_argument("--versions", type=Path, required=True, metavar="ROOT", help="folder of the model's versions")
    what = parser.add_argument_group("what to learn")
    what.add_argument("--structure", action="append", default=[], metavar="NAME", help="new structure; repeatable")
    what.add_argument(
        "--label-id",
        type=positive_int,
        action="append",
        default=[],
        metavar="N",
        help="its id in the label files, where these tell no names; as often as --structure, in the same order",
    )
    what.add_argument(
        "--colour", type=colour, action="append", default=[], metavar="R,G,B", help="its colour, likewise; 0 to 255"
    )
    what.add_argument("--tune", action="store_true", help="train the model on, and not only a head beside it")
    what.add_argument(
        "--replay",
        type=Path,
        metavar="DATA",
        help="with --tune: further scans, with labels or without, on which old structures are rehearsed",
    )
    how = parser.add_argument_group("how")
    how.add_argument("--budget", metavar="TIME", help="time of learning, for example 90s (default 5m)")
    how.add_argument("--processor-time", action="store_true", help="measure the budget in time of the processor")
    how.add_argument(
        "--held-out",
        type=non_negative_int,
        metavar="N",
        help="labelled patients that the score stands on (default: one of three or more)",
    )
    how.add_argument("--seed", type=non_negative_int, default=0, metavar="N", help="of everything random (default 0)")
    how.add_argument(
        "--progress", choices=("bar", "json"), default="bar", help="json: lines for a program that has started this one"
    )
    store = parser.add_argument_group("versions")
    store.add_argument("--list", action="store_true", help="list the versions and end")
    store.add_argument("--use", type=non_negative_int, metavar="N", help="use this version from now on and end")
    model_options(parser)
    threads_option(parser)
    parser.set_defaults(run=run)


def colour(text: str) -> tuple[int, int, int]:
    """Type of `--colour`: red, green and blue."""
    parts = [int(part) for part in text.split(",")] if text.replace(",", "").isdigit() else []
    if len(parts) != 3 or max(parts) > 255:
        raise argparse.ArgumentTypeError(f"{text!r} is no colour, such as 188,65,28")
    return parts[0], parts[1], parts[2]


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    from monai_semgan.bundle.labels import bundle_folder
    from monai_semgan.bundle.model_versions import VersionStore

    store = VersionStore(arguments.versions, bundle_folder(arguments.bundle))
    if arguments.list:
        return list_versions(store)
    if arguments.use is not None:
        if not arguments.versions.is_dir():
            raise SemganError("no such folder of versions", remedy="check the path", path=arguments.versions)
        return tell_use(store.use(arguments.use))
    if arguments.data is None:
        raise SemganError(
            "no scans are given", remedy="give a data list or a folder: semgan learn DATA --structure NAME"
        )
    return learn(arguments, store)


def learn(arguments: argparse.Namespace, store: VersionStore) -> int:
    """Learn new structures, and put the version that knows them into use."""
    from monai_semgan.bundle.model_versions import KEPT

    structures = chosen_structures(arguments)
    if arguments.replay is not None and not arguments.tune:
        raise SemganError("a head rehearses nothing", remedy="give --replay together with --tune")
    make = tune_version if arguments.tune else learn_version
    with shown(arguments) as progress:
        version = make(arguments, store, structures, progress)
    width = name_column(version.structures)
    for name in version.structures:
        figure = f"{version.figures[name]:.3f}" if name in version.figures else "not measured"
        say(f"  {name:<{width}} Dice {figure}")
    say(f"  {version.note}")
    for old in store.prune(in_use=(version.number,)):
        say(f"  removed version {old.number}: {KEPT} are kept")
    return tell_use(version)


def learn_version(
    arguments: argparse.Namespace, store: VersionStore, structures: list[NewStructure], progress: Progress
) -> ModelVersion:
    """Learn beside the version in use; nothing changes before the new one is complete."""
    from monai_semgan.authoring.contents import bundle_files
    from monai_semgan.learning.labelled_entries import labelled_entries
    from monai_semgan.learning.learn_settings import LearnSettings
    from monai_semgan.learning.structure_learning import learn_structures
    from monai_semgan.learning.work_folder import work_folder

    settings = LearnSettings(**settings_of(arguments))
    base, entries = store.current(), labelled_entries(arguments.data)
    size = sum(path.stat().st_size for path in bundle_files(base.folder))
    with work_folder(store.root, COPIES * size) as work:
        options: dict[str, Any] = {"parent": base.number, "progress": progress}
        made = learn_structures(base.folder, entries, work, structures, settings, **options)
        version = store.add(made.folder, made.record)
    return store.use(version.number)


def tune_version(
    arguments: argparse.Namespace, store: VersionStore, structures: list[NewStructure], progress: Progress
) -> ModelVersion:
    """Train the version in use on; what is stopped goes on with the same command."""
    import shutil

    from monai_semgan.learning.labelled_entries import labelled_entries
    from monai_semgan.learning.tuning import refuse, tune
    from monai_semgan.learning.tuning_settings import TuneSettings
    from monai_semgan.learning.work_folder import PREFIX

    base = store.current()
    settings = TuneSettings(structures=structures, **settings_of(arguments))
    replay = [] if arguments.replay is None else scans_to_rehearse(arguments.replay)
    work = store.root / f"{PREFIX}tune"
    options: dict[str, Any] = {"replay": replay, "parent": base.number, "progress": progress}
    tuned = tune(base.folder, labelled_entries(arguments.data), work, settings, **options)
    try:
        refuse(tuned)
    except SemganError:
        shutil.rmtree(work, ignore_errors=True)
        raise
    version = store.use(store.add(tuned.folder, tuned.record).number)  # what has no room is kept for the next try
    shutil.rmtree(work, ignore_errors=True)
    return version


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that both ways of learning have, as far as the command line tells them."""
    found = {"held_out": arguments.held_out, "seed": arguments.seed, "device": arguments.device}
    if arguments.budget is not None:
        found["budget"] = arguments.budget
    if arguments.processor_time:
        found["clock"] = "processor"
    return found


def scans_to_rehearse(source: Path) -> list[Entry]:
    """The scans of a list or folder, those without label too."""
    from monai_semgan.data.datalist import load_datalist
    from monai_semgan.learning.labelled_entries import labelled_entries

    return list(load_datalist(source).training) if source.is_file() else labelled_entries(source)


def chosen_structures(arguments: argparse.Namespace) -> list[NewStructure]:
    """The structures that stand on the command line.

    Raises:
        SemganError: there are more ids or colours than structures, or fewer.
    """
    from monai_semgan.learning.new_structures import NewStructure

    names = arguments.structure
    for option, values in (("--label-id", arguments.label_id), ("--colour", arguments.colour)):
        if values and len(values) != len(names):
            problem = f"{option} is given {len(values)} times, --structure {len(names)} times"
            raise SemganError(problem, remedy="give both as often, in the same order")
    ids = arguments.label_id or [None] * len(names)
    colours = arguments.colour or [None] * len(names)
    return [NewStructure(*one) for one in zip(names, ids, colours, strict=True)]


@contextlib.contextmanager
def shown(arguments: argparse.Namespace) -> Iterator[Progress]:
    """Show progress as a bar, or tell it to a parent process."""
    if arguments.progress == "json":
        from monai_semgan.utils.parent_progress import ParentProgress

        with ParentProgress() as told:
            yield told
        return
    try:
        with bar(arguments, "stopping; nothing changes, Ctrl-C again stops at once") as progress:
            yield progress
    except Cancelled as end:
        raise Cancelled(str(end) or "nothing was learnt, the model in use is unchanged") from None


def list_versions(store: VersionStore) -> int:
    """Print a line for every version."""
    current = current_or_none(store)
    for version in store.versions():
        mark = "*" if version.number == current else " "
        told = ", ".join(version.structures) or ("as shipped" if version.number == 0 else "")
        figures = ", ".join(f"{name} {value:.3f}" for name, value in version.figures.items())
        origin = "" if version.parent is None else f" from {version.parent}, {version.created}"
        say(f"{mark} {version.number}  {version.kind}: {told}{origin}{f' (Dice {figures})' if figures else ''}")
        if version.problem:
            say(f"     damaged: {version.problem}")
    return 0


def current_or_none(store: VersionStore) -> int | None:
    """Number of the version in use; None, and a line on it, where nothing tells it any more."""
    try:
        return store.chosen()
    except SemganError as error:
        say(str(error))
        return None


def tell_use(version: ModelVersion) -> int:
    """Say which version is in use."""
    say(f"version {version.number} is in use: {version.folder}")
    return 0
