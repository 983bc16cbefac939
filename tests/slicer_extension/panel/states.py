"""States of the panel as a user meets them, on a logic that answers as told; pictures of them are made and measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from SemGANLib.Protocols.CorrectionProtocol import CorrectionRow
from SemGANLib.Texts import connected_text, phase_text
from SemGANLib.Types.ModelTypes import Mode
from SemGANLib.Types.ResultTypes import MAPS, Domain, Finding
from SemGANLib.Types.ServerTypes import Health, Worker
from SemGANLib.Types.TrainingTypes import (
    LabelledStructure,
    ModelVersion,
    ModelVersions,
    TrainingJob,
    TrainingLabels,
)
from SemGANLib.Views import Batch, Connection, Images, LeftJob, Outcome, StoredLabel, StoredLabels

from tests.slicer_extension.panel.conftest import add_volume
from tests.slicer_extension.panel.fake_correcting import CAME
from tests.slicer_extension.panel.fake_logic import FakeLogic, job, model, result

ADDRESS = "http://127.0.0.1:8000"

MODES = (
    Mode("preview", seconds=4.2, dice={"CT": 0.931, "MR": 0.872}),
    Mode("refine", steps=60, seconds=190.0, gain={"CT": -0.002, "MR": 0.001}, worth_it=False),
)
MODEL = replace(model("semgan_abdomen", "0.2.0"), modes=MODES, modalities=("CT", "MR"))
GAINING = replace(MODEL, modes=(MODES[0], replace(MODES[1], gain={"CT": 0.024, "MR": 0.018}, worth_it=True)))

DICE = {"liver": 0.95, "right kidney": 0.9, "left kidney": 0.91, "spleen": 0.92}
IN_DOMAIN = Domain(0.08, "in domain", "Check the result all the same.", DICE)
OUT_OF_DOMAIN = Domain(
    0.62,
    "out of domain",
    "Do not use the result unseen: check modality and orientation of the scan; spleen least sure.",
    {"liver": 0.71, "right kidney": 0.35, "left kidney": 0.4, "spleen": 0.21},
)
SWAPPED = Finding(
    "sides_swapped",
    "warning",
    labels=(2, 3),
    text="The kidneys lie on the other side of the body than they should: the header may be mirrored.",
)
CUT = Finding("cut_by_edge", "info", labels=(1,), text="The liver is cut by the lower edge of the scan.")


def no_server(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """Before anything."""
    ui.addressEdit.setText(ADDRESS)
    logic.set_connection(Connection())


def connecting(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """The server has not answered yet."""
    ui.addressEdit.setText(ADDRESS)
    logic.set_connection(Connection("connecting", ADDRESS, f"Connecting to {ADDRESS}"))


def answers(logic: FakeLogic, *models: Any, ready: bool = True, device: str = "cuda:0", local: bool = True) -> None:
    """Let a server answer, with the sentence of the real logic."""
    workers = (Worker(device, "ready" if ready else "warming"),)
    health = Health("monai_semgan", "0.2.0", "1.1", ready, workers=workers)
    address = ADDRESS if local else "https://segment.hospital.example:8443"
    found = models or (MODEL,)
    logic.set_connection(Connection("on", address, connected_text(address, health, found), local, health, found))


def warming_up(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """Connected, and the server loads its model."""
    answers(logic, ready=False)


def connected(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """Ready for a preview."""
    answers(logic)
    logic.choices.volume = volume


def several_models(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A server elsewhere with two models, one of which gains by refining; options open, and some chosen."""
    answers(logic, GAINING, replace(model("semgan_thorax", "1.0"), modes=MODES), local=False)
    logic.choices.volume = volume
    logic.choices.labels, logic.choices.slice_range_mm = ("liver", "spleen"), (-50.0, 20.0)
    ui.optionsSection.collapsed = False


def uploading(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A large volume on a slow line."""
    connected(ui, logic, volume)
    text = "Sending the volume: 121 of 367 MB, 1.1 MB/s, about 4 min left"
    logic.goes_on(volume, mode="preview", phase="uploading", text=text, fraction=0.33)


def running(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A refinement, with a model that gains by it."""
    answers(logic, GAINING)
    logic.choices.volume = volume
    text = "Step 12 of 60, 31 of 90 slices done, about 40 s left"
    logic.goes_on(volume, text=text, fraction=0.2, job=job())


def waiting(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A preview that waits for others."""
    connected(ui, logic, volume)
    queued = job(state="queued", position=2, eta_seconds=70.0, step=0, loss=())
    logic.goes_on(volume, mode="preview", phase="queued", text=phase_text("queued", queued), job=queued)


def paused(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A refinement that lets the preview of somebody else go first."""
    answers(logic, GAINING)
    logic.choices.volume = volume
    held = job(state="paused", eta_seconds=None)
    logic.goes_on(volume, phase="paused", text=phase_text("paused", held), fraction=0.2, job=held)


def overdue(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A refinement whose time is over."""
    answers(logic, GAINING)
    logic.choices.volume = volume
    late = job(step=58, slices_converged=88, eta_seconds=None, message="takes longer than expected")
    logic.goes_on(volume, text=phase_text("running", late), fraction=0.97, job=late)


def done(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A preview of a scan that the model knows the like of."""
    connected(ui, logic, volume)
    arrives(logic, volume, IN_DOMAIN, CUT)


def details(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A refined result, with maps and details open."""
    connected(ui, logic, volume)
    maps = {name: add_volume(f"CT abdomen {name}").GetID() for name in MAPS}
    found = result(IN_DOMAIN, model=IDENTITY, notes=("The scan was resampled to 3 mm for the model.",))
    logic.arrives(Outcome(volume.GetID(), "", maps, "", "a" * 32, found))
    ui.detailsSection.collapsed = False


def out_of_domain(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A preview that should not be relied on."""
    connected(ui, logic, volume)
    arrives(logic, volume, OUT_OF_DOMAIN, SWAPPED)


def gaining(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """The same with a model that gains by refining, so that this is open too."""
    answers(logic, GAINING)
    logic.choices.volume = volume
    arrives(logic, volume, OUT_OF_DOMAIN, SWAPPED, CUT)


def unlearnt_modality(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """In domain by its score, on a scan of a modality that the model has not learnt from."""
    answers(logic, replace(MODEL, modalities=("CT",)))
    logic.choices.volume = volume
    arrives(logic, volume, IN_DOMAIN, modality="MR")


def error(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A job that failed."""
    connected(ui, logic, volume)
    text = "The device has no memory left: close other programs, or choose fewer slices under Options."
    logic.goes_on(volume, phase="failed", active=False, text=text)
    logic.fails(text)


def refused(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """Nobody answers."""
    ui.addressEdit.setText(ADDRESS)
    text = f"No server answers at {ADDRESS}. Start it with “semgan serve FOLDER”, or correct the address."
    logic.set_connection(Connection("failed", ADDRESS, text))


def submit(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A label about to be submitted, and what a second reader says."""
    done(ui, logic, volume)
    logic.is_edited = True
    ui.segmentSection.collapsed = ui.resultsSection.collapsed = True
    ui.userEdit.setText("A. Reader")
    ui.submitSection.collapsed = ui.reviewSection.collapsed = False
    said = StoredLabel("final", "2026-11-28T09:02:11Z", "A. Reader", "semgan_abdomen", True, "rejected", "B. Reader")
    first = StoredLabel("original", "2026-11-27T18:30:00Z", "", "semgan_abdomen", False)
    comment = "the lower pole of the left kidney is missing"
    labels = (replace(said, comment=comment), first)
    logic.labels_changed.emit(StoredLabels(volume.GetID(), "case_07", labels))


def batch(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """Many images at once."""
    connected(ui, logic, volume)
    ui.segmentSection.collapsed = ui.resultsSection.collapsed = True
    ui.imagesSection.collapsed = False
    logic.images_changed.emit(Images(("case_06", "case_07"), {"case_07": ("final",)}))
    logic.batch_goes_on(Batch(12, 1, 40, True, "12 of 40 images done, 1 failed."))


def to_correct(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A preview that is to be corrected, with slices 5 mm apart."""
    done(ui, logic, volume)
    volume.SetSpacing(0.8, 0.8, 5.0)
    node = volume.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", "CT abdomen: preview")
    logic.arrives(replace(logic.outcomes[volume.GetID()], segmentation_id=node.GetID()))
    ui.segmentSection.collapsed = ui.resultsSection.collapsed = True
    ui.correctSection.collapsed = False


def correcting(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A correction under way, and others before it."""
    to_correct(ui, logic, volume)
    ui.scribbleButton.click()
    told = ("liver: 214 voxels painted, 25 mm", "spleen: a box, 25 mm", "liver: 31 voxels erased, 25 mm")
    states = ("done", "done", "running")
    further = [CorrectionRow(n + 1, 1.7e9 + 40 * n, told[n], states[n], current=n == 1) for n in range(3)]
    logic.corrections.lists(replace(CAME, current=False), *further)
    text = "Correction 3: 4 of 11 slices"
    logic.corrections.stands(busy=True, waiting=1, text=text, fraction=0.36, can_undo=True)


def contradicting(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """Strokes that contradict one another, in one slice only; a structure is locked; one correction was undone."""
    to_correct(ui, logic, volume)
    ui.onlySliceCheckBox.setChecked(True)
    ui.negativeButton.click()
    ui.lockButton.click()
    ui.correctStructureComboBox.setCurrentIndex(2)
    ui.pointButton.click()
    said = "Strokes contradict one another in 4 voxels: the newest counts. The liver is locked and stays as it was."
    last = CorrectionRow(2, 1.7e9 + 40, "right kidney: a point", undone=True)
    logic.corrections.lists(
        replace(CAME, current=False), CorrectionRow(1, 1.7e9, "spleen: a lasso", current=True, warning=said), last
    )
    logic.corrections.stands(can_undo=True, can_redo=True)


def learning(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A new structure is being learnt."""
    connected(ui, logic, volume)
    ui.segmentSection.collapsed = ui.resultsSection.collapsed = True
    ui.learnSection.collapsed = False
    images = ("case_1", "case_2", "case_3", "case_4")
    found = (LabelledStructure("aorta", 8, False, images[:3]), LabelledStructure("liver", 1, True, images))
    logic.trainings.stands(labels=TrainingLabels("semgan_abdomen", images, found))
    running_on = TrainingJob("a", "running", structures=("aorta",), step=31, steps=90, eta_seconds=170.0)
    logic.trainings.goes_on(replace(running_on, message="learning"))


def learnt(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """The new structure has been learnt, and the version with it is in use."""
    learning(ui, logic, volume)
    dice = {"aorta": 0.713}
    ended = TrainingJob("a", "done", structures=("aorta",), held_out=("case_3",), figures=dice, version=2)
    logic.trainings.goes_on(ended)
    tuned = ModelVersion(1, 0, "tune", 1.8e9, ("liver", "spleen"), ("case_1",), {"liver": 0.95, "spleen": 0.93})
    versions = (ModelVersion(0, None, "shipped"), tuned, ModelVersion(2, 1, "structure", 1.8e9, ("aorta",), (), dice))
    logic.trainings.stands(versions=ModelVersions("semgan_abdomen", 2, versions))


def left_job(ui: Any, logic: FakeLogic, volume: Any) -> None:
    """A job that goes on after a crash."""
    connected(ui, logic, volume)
    logic.leaves(LeftJob("a" * 32, "case_07", "refine", "running", 1.7e9))


def arrives(logic: FakeLogic, volume: Any, domain: Domain, *findings: Finding, modality: str = "CT") -> None:
    """Let a preview arrive."""
    logic.goes_on(volume, mode="preview", phase="done", active=False)
    found = replace(result(domain), mode="preview", findings=findings, modality=modality, model=IDENTITY)
    logic.arrives(Outcome(volume.GetID(), "", {}, "", "a" * 32, found))


IDENTITY = replace(result().model, version="0.2.0")

State = Callable[[Any, FakeLogic, Any], None]

STATES: dict[str, State] = {
    state.__name__: state
    for state in (
        no_server,
        refused,
        connecting,
        warming_up,
        connected,
        several_models,
        uploading,
        waiting,
        paused,
        overdue,
        running,
        done,
        details,
        out_of_domain,
        gaining,
        unlearnt_modality,
        error,
        submit,
        batch,
        correcting,
        contradicting,
        learning,
        learnt,
        left_job,
    )
}
