"""The module as Slicer sees it: description, panel in its place, sample data."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.slicer_extension.standin.application import MODULE_FOLDER, SampleDataLogic


def describe(module: Any) -> SimpleNamespace:
    """Collect what the module tells Slicer of itself."""
    parent = SimpleNamespace(path=str(MODULE_FOLDER / "SemGAN.py"))
    module.SemGAN(parent)
    return parent


def test_describes_itself(module: Any) -> None:
    parent = describe(module)
    assert (parent.title, parent.categories) == ("SemGAN", ["Segmentation"])
    assert "Research use only, not for clinical use" in parent.helpText
    assert "2104.05833" in parent.acknowledgementText and parent.contributors


def test_offers_its_scan_in_sample_data_when_slicer_has_started(module: Any, application: Any) -> None:
    from pathlib import Path
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    SampleDataLogic.sources.clear()
    application.connected.clear()
    describe(module)
    assert not SampleDataLogic.sources
    (registered,) = application.connected["startupCompleted()"]
    registered()
    (source,) = SampleDataLogic.sources
    assert Path(url2pathname(urlsplit(source["uris"]).path)).is_file()
    assert Path(source["thumbnailFileName"]).is_file()


def test_the_scan_of_the_sample_data_names_nobody(module: Any, load_volume: None) -> None:
    import slicer
    from SemGANLib.Scene.SampleScan import SCAN

    header = SCAN.read_bytes().split(b"\n\n")[0].decode()
    assert ":=" not in header  # NRRD's keys and values of its own
    volume = slicer.util.loadVolume(str(SCAN))
    assert volume.GetImageData().GetDimensions() == (128, 128, 42)
    assert volume.GetSpacing() == pytest.approx((2.75, 2.75, 5.0))


def test_the_panel_is_put_into_its_place_and_taken_away(module: Any, scene: Any) -> None:
    import qt

    place = qt.QWidget()
    layout = qt.QVBoxLayout(place)
    widget = module.SemGANWidget(place)
    widget.setup()
    assert layout.count() == 1
    widget.enter()
    widget.exit()
    panel = widget.panel
    widget.cleanup()
    assert widget.panel is None
    panel.widget.setMRMLScene(None)


def test_reloading_reads_the_library_too(module: Any, scene: Any) -> None:
    import qt

    before = {name: one for name, one in sys.modules.items() if name.split(".")[0] == "SemGANLib"}
    place = qt.QWidget()
    qt.QVBoxLayout(place)
    widget = module.SemGANWidget(place)
    try:
        widget.onReload()
        assert not [name for name in sys.modules if name.startswith("SemGANLib")]
    finally:
        sys.modules.update(before)  # other tests have classes of it
