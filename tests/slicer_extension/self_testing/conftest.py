"""The application's stand-in and the module, as in the tests of the panel."""

from __future__ import annotations

from tests.slicer_extension.panel.conftest import application, collect_ignore_glob, load_volume, module, scene

__all__ = ["application", "collect_ignore_glob", "load_volume", "module", "scene"]
