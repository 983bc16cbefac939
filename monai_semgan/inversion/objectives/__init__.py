"""Objectives of the inversion: how far a rendering is from the slice that it shall explain.

Every module in this folder is imported, so that a new file with `@register_objective("name")` is all that a new
objective takes.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
