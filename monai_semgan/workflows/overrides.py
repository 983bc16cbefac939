"""Ids on the command line of `python -m monai.bundle run`: those that no configuration has are refused."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from monai.bundle import run
from monai.utils import optional_import

from monai_semgan.errors import SemganError
from monai_semgan.inference.preview import PreviewSettings
from monai_semgan.inversion.inversion_settings import InversionSettings
from monai_semgan.training.engine.loop import LoopSettings
from monai_semgan.training.run import settings_class
from monai_semgan.utils.settings import field_names
from monai_semgan.workflows.command_line import command_options, configuration, is_monai_bundle
from monai_semgan.workflows.training import StageTrainingSettings

TRACKING = ("output_dir", "tracking_uri", "experiment_name", "run_name", "save_execute_config")
"""Ids that `--tracking` of `monai.bundle run` takes in addition."""


def check_overrides(arguments: Sequence[str] | None = None) -> None:
    """Refuse ids on the command line of `monai.bundle run` that no configuration file has.

    MONAI adds unknown ids silently, and a misspelt option would do nothing.

    Args:
        arguments: of the program; those of this process when left out.

    Raises:
        SemganError: if an id is unknown.
    """
    arguments = sys.argv if arguments is None else arguments
    if not is_monai_bundle(arguments):
        return
    options = command_options(arguments)
    if "config_file" not in options or "args_file" in options:
        return
    own = {*inspect.signature(run).parameters, "workflow_type", "properties_path", *TRACKING}
    config = configuration(options)
    for name in (option.replace("::", "#") for option in options):
        if name not in own and not name.startswith("_") and not _known(name, config):
            close = ", ".join(sorted(_siblings(name, config)))
            raise SemganError(f"unknown id {name!r} on the command line", remedy=f"known are {close}")


def _known(name: str, config: Mapping[str, Any]) -> bool:
    """Whether an id is in the configuration, or is an argument of a component that stands there."""
    place, _, last = name.rpartition("#")
    parent = _at(place, config)
    if isinstance(parent, list):
        return last.isdigit() and int(last) < len(parent)
    if not isinstance(parent, Mapping):
        return False
    # a component of MONAI checks its arguments itself
    of_monai = "." not in str(parent.get("_target_", "."))
    return of_monai or last in parent or last in _arguments(place, parent, config)


def _arguments(place: str, parent: Mapping[str, Any], config: Mapping[str, Any]) -> set[str]:
    """What may stand in a section beside what does: arguments of its component, or fields of its settings."""
    if "_target_" not in parent:
        kind = _settings_class(place, config)
        return set(field_names(kind)) if kind is not None else set()
    module, _, attribute = str(parent["_target_"]).rpartition(".")
    if not module:
        return set()
    target, found = optional_import(module, name=attribute)
    if not found or not callable(target):
        return set()
    return _parameters(target)


def _parameters(target: Any) -> set[str]:
    """Names of arguments; of a class that hands further ones on, also those of the class that it extends."""
    arguments = inspect.signature(target).parameters.values()
    named = {argument.name for argument in arguments if argument.kind is not inspect.Parameter.VAR_KEYWORD}
    if inspect.isclass(target) and len(named) < len(arguments) and target.__base__ is not object:
        return named | _parameters(target.__base__)
    return named


def _settings_class(section: str, config: Mapping[str, Any]) -> type | None:
    """The class whose fields a plain section holds, or None."""
    classes: dict[str, type] = {"preview": PreviewSettings, "invert": InversionSettings, "refine": InversionSettings}
    if section == "settings":
        stage = _at("train#trainer#stage", config)
        return settings_class(stage) if stage else None
    if section == "train#trainer#settings":
        return StageTrainingSettings
    return (classes | {"loop": LoopSettings}).get(section)


def _siblings(name: str, config: Mapping[str, Any]) -> set[str]:
    """What could have been meant."""
    place = name.rpartition("#")[0]
    parent = _at(place, config)
    if not isinstance(parent, Mapping):
        return set(config)
    return (set(parent) | _arguments(place, parent, config)) - {"_target_"}


def _at(place: str, config: Any) -> Any:
    for step in filter(None, place.split("#")):
        if isinstance(config, Mapping):
            config = config.get(step)
        elif isinstance(config, list) and step.isdigit() and int(step) < len(config):
            config = config[int(step)]
        else:
            return None
    return config
