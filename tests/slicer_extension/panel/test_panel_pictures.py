"""Pictures of the panel in every state, at the width of a narrow dock: nothing is cut, and a preview fits on a screen.

    SEMGAN_SCREENSHOTS=Screenshots python -m pytest tests/slicer_extension/panel/test_panel_pictures.py

keeps the pictures.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from SemGANLib.Protocols.CorrectionProtocol import CorrectionRow, StructureChoice
from SemGANLib.Types.TrainingTypes import (
    LabelledStructure,
    ModelVersion,
    ModelVersions,
    TrainingJob,
    TrainingLabels,
)
from SemGANLib.Views import Batch, Images, LeftJob, OrganVolume, StoredLabel, StoredLabels

from tests.slicer_extension.conftest import REPOSITORY
from tests.slicer_extension.panel.conftest import add_volume
from tests.slicer_extension.panel.fake_correcting import CAME
from tests.slicer_extension.panel.fake_logic import FakeLogic
from tests.slicer_extension.panel.qt_actions import settle, shown
from tests.slicer_extension.panel.states import CUT, GAINING, IN_DOMAIN, STATES, answers, arrives

WIDTH, HEIGHT = 400, 700
"""Of the dock of a module on a small screen."""

KEPT = os.environ.get("SEMGAN_SCREENSHOTS", "")


def fit(panel: SimpleNamespace) -> None:
    """Make the panel as high as what it shows."""
    for _ in range(3):
        settle()
        panel.widget.resize(WIDTH, max(panel.widget.layout().totalHeightForWidth(WIDTH), 100))
    settle()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pictures go."""
    place = Path(KEPT) if KEPT else tmp_path
    place.mkdir(parents=True, exist_ok=True)
    return place


def small(picture: Any) -> Any:
    """Give a picture a table of its own most frequent colours: a third of the bytes, and the same to the eye."""
    from PySide6.QtGui import QImage

    image = picture.toImage().convertToFormat(QImage.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), np.uint32)
    colours, counts = np.unique(pixels, return_counts=True)
    return image.convertToFormat(QImage.Format_Indexed8, colours[np.argsort(-counts)][:256].tolist())


def bottom(panel: SimpleNamespace, widget: Any) -> int:
    """Tell how far down a widget reaches in the panel."""
    from PySide6.QtCore import QPoint

    return int(widget.mapTo(panel.widget, QPoint(0, widget.height)).y())


def cut(panel: SimpleNamespace) -> list[str]:
    """Name the widgets whose text is not seen as a whole."""
    found = []
    for widget in (one for one in vars(panel.ui).values() if shown(one)):
        if widget.className() == "QLabel" and widget.height < widget.heightForWidth(widget.width):
            found.append(f"{widget.objectName} below")
        kinds = ("QLabel", "QPushButton", "QCheckBox", "QComboBox")
        if widget.className() in kinds and widget.width < widget.minimumSizeHint().width():
            found.append(f"{widget.objectName} on the right")
    return found


@pytest.mark.parametrize("name", STATES)
def test_what_is_unfolded_later_can_be_read_too(
    panel: SimpleNamespace, logic: FakeLogic, volume: Any, name: str
) -> None:
    fit(panel)
    STATES[name](panel.ui, logic, volume)
    fit(panel)
    for section in (one for one in vars(panel.ui).values() if one.className() == "ctkCollapsibleButton"):
        section.collapsed = False
        fit(panel)
    assert cut(panel) == []


@pytest.mark.parametrize("name", STATES)
def test_in_every_state_all_that_is_shown_can_be_read(
    panel: SimpleNamespace, logic: FakeLogic, volume: Any, folder: Path, name: str
) -> None:
    STATES[name](panel.ui, logic, volume)
    fit(panel)
    assert cut(panel) == []
    assert panel.widget.minimumSizeHint().width() <= WIDTH
    path = folder / ("panel.png" if name == "done" else f"panel_{name}.png")
    assert small(panel.widget.grab()).save(str(path)) and path.stat().st_size > 2000


WARNED = ("out_of_domain", "gaining", "unlearnt_modality")


@pytest.mark.parametrize("name", ["connected", "uploading", "running", "done", "error", *WARNED])
def test_all_that_a_preview_needs_is_seen_without_scrolling(
    panel: SimpleNamespace, logic: FakeLogic, volume: Any, name: str
) -> None:
    STATES[name](panel.ui, logic, volume)
    fit(panel)
    ui = panel.ui
    needed = [ui.connectionLabel, ui.inputSelector, ui.modalityComboBox, ui.previewButton, ui.cancelButton]
    needed += [ui.progressLabel] * (name != "connected") + [ui.warningLabel] * (name in WARNED)
    needed += [ui.outcomeLabel] + [ui.volumesTable] * (name in (*WARNED, "done"))
    for widget in needed:
        assert shown(widget), widget.objectName
        assert bottom(panel, widget) <= HEIGHT, f"{widget.objectName} ends at {bottom(panel, widget)}"


def test_a_model_of_many_structures_does_not_push_the_rest_away(
    panel: SimpleNamespace, logic: FakeLogic, volume: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [OrganVolume(f"structure {number}", (200, 100, 90), 10.0, 10.0) for number in range(40)]
    monkeypatch.setattr(logic, "organ_volumes", lambda _volume: rows)
    STATES["done"](panel.ui, logic, volume)
    fit(panel)
    assert panel.ui.volumesTable.rowCount == 40 and bottom(panel, panel.ui.volumesTable) <= HEIGHT


def correct_and_learn(ui: Any, logic: FakeLogic, long: str) -> None:
    """Correct and learn with a name wherever there can be one."""
    ui.correctSection.collapsed = ui.learnSection.collapsed = False
    logic.corrections.found = [StructureChoice("s1", long, (1, 2, 3), locked=True)]
    logic.corrections.lists(CAME, CorrectionRow(1, 1.7e9, long, warning=long))
    logic.corrections.stands(text=long, busy=True, waiting=1)
    found = (LabelledStructure(long, 8, False, ("a",)),)
    logic.trainings.stands(labels=TrainingLabels(long, ("a",), found))
    logic.trainings.goes_on(TrainingJob("a", "failed", structures=(long,), message=long))
    versions = (ModelVersion(0), ModelVersion(1, 0, "structure", 1.8e9, (long,), ("a",), {long: 0.5}))
    logic.trainings.stands(versions=ModelVersions(long, 1, versions))


def test_long_names_do_not_make_the_panel_wider(panel: SimpleNamespace, logic: FakeLogic, volume: Any) -> None:
    long = "1.2.840.113619.2.55.3.604688119.969.1268071029.320_abdomen_portal_venous_phase_thin_slices"
    volume.SetName(long)
    add_volume(long)  # the lists of volumes show the new name too
    answers(logic, replace(GAINING, name=long), replace(GAINING, name=f"{long}_2"))
    logic.choices.volume = volume
    arrives(logic, volume, replace(IN_DOMAIN, advice=long), replace(CUT, text=long))
    logic.images_changed.emit(Images((long,), {long: ("final", "preliminary", "original")}))
    logic.batch_goes_on(Batch(1, 0, 2, True, long))
    logic.leaves(LeftJob("a", long, "refine", "running", 1e9))
    label = StoredLabel("final", "2026-11-28T09:02:11Z", long, long, True, "rejected", long, long)
    logic.labels_changed.emit(StoredLabels(volume.GetID(), long, (label,)))
    logic.set_connection(replace(logic.connection, text=f"Connected to https://{long}:8443."))
    logic.goes_on(volume, text=long, fraction=0.5)
    logic.fails(long)
    correct_and_learn(panel.ui, logic, long)
    for section in (one for one in vars(panel.ui).values() if one.className() == "ctkCollapsibleButton"):
        section.collapsed = False
    fit(panel)
    assert panel.widget.minimumSizeHint().width() <= WIDTH


def test_the_readme_shows_pictures_of_states_that_there_are() -> None:
    readme = (REPOSITORY / "slicer_extension" / "README.md").read_text(encoding="utf-8")
    shown_there = re.findall(r"!\[[^\]]+\]\(\.\./Screenshots/(panel\w*)\.png\)", readme)
    kept = {path.stem for path in (REPOSITORY / "Screenshots").glob("*.png")}
    assert len(shown_there) >= 5 and kept == {"panel" if name == "done" else f"panel_{name}" for name in STATES}
    assert set(shown_there) <= kept
