"""The 3D Slicer module SemGAN: what Slicer asks a module for. All else is in SemGANLib."""

from __future__ import annotations

import sys

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class SemGAN(ScriptedLoadableModule):
    """Describes the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "SemGAN"
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations", "SubjectHierarchy", "Terminologies"]
        parent.contributors = ["The monai_semgan maintainers"]
        parent.helpText = _(
            "Segments organs in CT and MRI with a SemGAN server: connect to it, choose a volume and press Preview; "
            "read what is told of the result, correct it and submit it. Maps show where the model is in doubt.<p>"
            "Scans are sent to the server that you connect to, under a random name; for a server on another computer "
            "you are asked first.<p><b>Research use only, not for clinical use.</b>"
        )
        parent.acknowledgementText = _(
            "The method is semanticGAN: Li et al., Semantic Segmentation with Generative Models, CVPR 2021 "
            "(https://arxiv.org/abs/2104.05833). The server is built on MONAI and MONAI Label."
        )
        slicer.app.connect("startupCompleted()", register_sample_data)


def register_sample_data():
    """Offer the scan that comes along in the module Sample Data; called when Slicer has started."""
    from SemGANLib.Scene.SampleScan import register

    register()


class SemGANWidget(ScriptedLoadableModuleWidget):
    """The place of the panel in Slicer."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.logic = None
        self.panel = None

    def setup(self):
        """Build the panel; called when the module is shown for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        import qt
        from SemGANLib.Panel.Widget import Panel

        self.logic = SemGANLogic()
        self.panel = Panel(self.logic.api, qt.QSettings())
        self.layout.addWidget(self.panel.widget)

    def enter(self):
        """Let the panel propose a volume; called when the module is shown."""
        self.panel.enter()

    def exit(self):
        """Give the layout back; called when another module is shown."""
        self.panel.leave()

    def onReload(self):
        """Read the module and its library anew; called by the developer's button."""
        for name in [name for name in sys.modules if name.split(".")[0] == "SemGANLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def cleanup(self):
        """Close panel and logic; called when Slicer ends or the module is reloaded."""
        if self.panel is not None:
            self.panel.close()
            self.logic.api.close()
            self.panel = None


class SemGANLogic(ScriptedLoadableModuleLogic):
    """For other modules and scripts: `api` is all that the panel can do; see `Protocols.LogicProtocol.Logic`."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleLogic.__init__(self, parent)
        from SemGANLib.Compose import compose

        self.api = compose()


class SemGANTest(ScriptedLoadableModuleTest):
    """Self test, to be run inside Slicer; it needs no server and no network but this computer's own."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all steps; called by Slicer."""
        from SemGANLib.SelfTesting.SelfTest import STEPS

        for step in STEPS:
            self.setUp()
            self.delayDisplay(step.__doc__)
            step(self)
        self.delayDisplay(_("The self test of SemGAN has passed."))
