"""The panel of the module: loads the Qt Designer file and joins its sections with the logic."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import qt
import slicer

from ..Protocols.ApplicationProtocol import Settings
from ..Protocols.LogicProtocol import Logic
from ..Scene.ComparisonLayout import ComparisonLayout
from ..Scene.SliceViews import composites
from ..Translation import tr as _
from ..Views import ERROR, INFO, WARNING, Message
from .LongWords import wrapped
from .Shortcuts import Shortcuts
from .WidgetArchive import ArchiveLine
from .WidgetBatch import BatchSection
from .WidgetCorrect import CorrectSection
from .WidgetDetails import DetailsSection
from .WidgetImages import ImagesSection
from .WidgetInput import InputSection
from .WidgetLearn import LearnSection
from .WidgetLeftJobs import LeftJobsLine
from .WidgetMaps import MapsSection
from .WidgetResults import ResultsSection
from .WidgetReview import ReviewSection
from .WidgetRun import RunSection
from .WidgetServer import ServerSection
from .WidgetSubmit import SubmitSection

DESIGN = Path(__file__).resolve().parents[2] / "Resources" / "UI" / "SemGAN.ui"

ICONS = {INFO: "\u2139", WARNING: "\u26a0", ERROR: "\u26a0"}


class Panel:
    """What the user sees; all that is done is done by the logic.

    Args:
        logic: see `Protocols.LogicProtocol.Logic`.
        settings: of the application.
        choose_file: asks where to save; see `DetailsSection`.
        choose_certificate: asks for the file of a certificate; see `ServerSection`.

    Attributes:
        widget: to be put into the module's place.
        ui: its widgets by name.
    """

    def __init__(
        self,
        logic: Logic,
        settings: Settings,
        choose_file: Callable[[str, str, str], str] | None = None,
        choose_certificate: Callable[[], str] | None = None,
    ) -> None:
        self._logic = logic
        self._scene = slicer.mrmlScene
        self.widget = slicer.util.loadUI(str(DESIGN))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        for selector in (self.ui.inputSelector, self.ui.targetSelector, self.ui.colourSelector):
            selector.sizeAdjustPolicy = qt.QComboBox.AdjustToMinimumContentsLengthWithIcon  # else as wide as a name
        self.widget.setMRMLScene(self._scene)
        self.layout = ComparisonLayout(self._scene, slicer.app.layoutManager())
        self.server = ServerSection(self.ui, logic, choose_certificate or self._choose_certificate)
        self.input = InputSection(self.ui, logic)
        self.run = RunSection(self.ui, logic, self.input.error, self.show_message)
        self.left_jobs = LeftJobsLine(self.ui, logic)
        self.results = ResultsSection(self.ui, logic, self.show_message)
        self.correct = CorrectSection(self.ui, logic, self._scene)
        self.maps = MapsSection(self.ui, logic, self._scene, self.layout)
        self.details = DetailsSection(self.ui, logic, self._scene, choose_file or self._choose_file)
        self.submit = SubmitSection(self.ui, logic, settings, self.show_message)
        self.archive = ArchiveLine(self.ui, logic)
        self.review = ReviewSection(self.ui, logic, self.submit.user)
        self.images = ImagesSection(self.ui, logic, self.show_message)
        self.batch = BatchSection(self.ui, logic, self.images.chosen, self.show_message)
        self.learn = LearnSection(self.ui, logic, self.show_message)
        sections = (self.server, self.input, self.run, self.left_jobs, self.results, self.correct, self.maps)
        further = (self.details, self.submit, self.archive, self.review, self.images, self.batch, self.learn)
        self._sections = (*sections, *further, self.layout)
        self.shortcuts = Shortcuts(self.widget, self._keys())
        self.ui.dismissButton.connect("clicked()", self._on_dismiss)
        logic.message.connect(self.show_message)
        events = slicer.vtkMRMLScene
        self._tags = [
            # before: Slicer brings the layout back that there was when the closing began
            self._scene.AddObserver(events.StartCloseEvent, self._on_scene_closing),
            self._scene.AddObserver(events.EndCloseEvent, self._on_scene_closed),
        ]
        self.show_message(None)

    def close(self) -> None:
        """Give the user's own layout back and disconnect everything: the module is unloaded."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._logic.message.disconnect(self.show_message)
        for section in self._sections:
            section.close()

    def enter(self) -> None:
        """Propose the volume in the slice views where none is chosen: the module is shown."""
        self.correct.enter()
        if self._logic.choices.volume is None:
            shown = [self._scene.GetNodeByID(view.GetBackgroundVolumeID() or "") for view in composites(self._scene)]
            scans = [node for node in shown if node is not None and node.GetClassName() == "vtkMRMLScalarVolumeNode"]
            if scans:
                self._logic.choices.volume = scans[0]

    def leave(self) -> None:
        """Give mouse, keys and the user's own layout back: another module is shown."""
        self.correct.leave()
        self.layout.restore()

    def show_message(self, message: Message | None) -> None:
        """Show a message, or take the last one away."""
        self.ui.messageFrame.setVisible(message is not None)
        text = f"{ICONS.get(message.level, '')} {message.text}" if message is not None else ""
        self.ui.messageLabel.setText(wrapped(text))

    def _on_dismiss(self) -> None:
        self.show_message(None)

    def _on_scene_closing(self, *_arguments: Any) -> None:
        self.layout.restore()
        self.correct.forget()

    def _on_scene_closed(self, *_arguments: Any) -> None:
        self.maps.forget()
        self.input.show()
        self.run.show()
        self.results.show()
        self.correct.show()
        self.details.show()
        self.submit.show_edited()

    def _keys(self) -> dict[str, Callable[[], None]]:
        return {
            "Ctrl+Shift+P": self.run.preview,
            "Ctrl+Shift+R": self.run.refine,
            "Ctrl+Shift+X": self.run.cancel,
            "Ctrl+Shift+C": self.results.copy,
            "Ctrl+Shift+L": self.maps.toggle_comparison,
        }

    def _choose_file(self, title: str, proposal: str, kinds: str) -> str:
        return str(qt.QFileDialog.getSaveFileName(self.widget, title, proposal, kinds) or "")

    def _choose_certificate(self) -> str:
        title, kinds = _("Certificate of the server"), _("Certificates (*.pem *.crt *.cer);;All files (*)")
        return str(qt.QFileDialog.getOpenFileName(self.widget, title, "", kinds) or "")
