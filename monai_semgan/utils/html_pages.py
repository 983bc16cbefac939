"""Pages that need no network: templates that escape what they are given, and pictures inside their own addresses."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, Template


def page_template(package: str, name: str, **filters: Callable[..., Any]) -> Template:
    """A template that lies beside the modules of a package.

    Args:
        package: such as `monai_semgan.outputs.report`.
        name: of the file.
        filters: functions that the template names.
    """
    environment = Environment(loader=PackageLoader(package, "."), autoescape=True, trim_blocks=True)
    environment.filters.update(filters)
    return environment.get_template(name)


def png_address(png: bytes) -> str:
    """The content of a PNG file as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
