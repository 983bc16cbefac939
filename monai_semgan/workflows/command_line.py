"""The command line of `python -m monai.bundle`, as it was typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai.bundle import ConfigParser

PROGRAM = "monai/bundle/__main__.py"


def is_monai_bundle(arguments: Sequence[str]) -> bool:
    """Whether the program with these arguments is `python -m monai.bundle`."""
    return bool(arguments) and str(arguments[0]).replace("\\", "/").endswith(PROGRAM)


def command_options(arguments: Sequence[str]) -> dict[str, str]:
    """Value by name of the options `--name value` and `--name=value`."""
    found = {}
    for index, argument in enumerate(arguments):
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            following = arguments[index + 1] if index + 1 < len(arguments) else ""
            found[name] = value if equals else following
    return found


def configuration(options: Mapping[str, str]) -> dict[str, Any]:
    """Content of the configuration files that the option `config_file` names, one over the other."""
    names = options.get("config_file", "").strip("[]() ").split(",")
    content: dict[str, Any] = ConfigParser.load_config_files([n.strip(" '\"") for n in names if n.strip(" '\"")])
    return content
