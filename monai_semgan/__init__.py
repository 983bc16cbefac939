"""Segmentation of CT and MRI volumes by a joint generative model of images and labels.

    import monai_semgan as sg

    volume = sg.read_volume("scan.nii.gz")
    result = sg.segment(volume, sg.load_bundle(), mode="preview")
    sg.write_label(result.label, volume, "organs.nii.gz")

`__all__` is all that is public, and all that configurations of bundles name. Each name is loaded when first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from monai_semgan._moved import install
from monai_semgan._version import __version__

if TYPE_CHECKING:
    from monai_semgan.authoring.create import create_bundle
    from monai_semgan.authoring.fill import fill_bundle
    from monai_semgan.authoring.make import make_bundle
    from monai_semgan.authoring.pack import pack_bundle
    from monai_semgan.authoring.update import update_bundle
    from monai_semgan.bundle.load import Bundle, load_bundle
    from monai_semgan.cohort.case_runner import CaseRunner
    from monai_semgan.cohort.cases import Case, find_cases
    from monai_semgan.cohort.cohort_settings import CohortSettings, case_key
    from monai_semgan.cohort.records import Record, load_record, write_summary
    from monai_semgan.correction.correction_result import Correction
    from monai_semgan.correction.correction_settings import CorrectionSettings
    from monai_semgan.correction.corrector import Corrector
    from monai_semgan.correction.slice_latents import SliceLatents
    from monai_semgan.correction.strokes import Stroke, strokes_of_map
    from monai_semgan.data.datalist import DataList, Entry, load_datalist
    from monai_semgan.errors import Cancelled, SemganError
    from monai_semgan.evaluation.comparison import compare
    from monai_semgan.evaluation.scores import PatientScore, Study
    from monai_semgan.evaluation.study import evaluate
    from monai_semgan.evaluation.tables import write_study
    from monai_semgan.inference.inferer import SliceInversionInferer
    from monai_semgan.inference.segmentation import Segmentation, segment
    from monai_semgan.inference.synthesis import sample_patient, sample_slices
    from monai_semgan.inference.views import PreviewSettings
    from monai_semgan.inversion.inversion_settings import InversionSettings
    from monai_semgan.inversion.objectives.base import ReconstructionObjective
    from monai_semgan.inversion.objectives.registry import register_objective
    from monai_semgan.inversion.result import InversionResult
    from monai_semgan.io.formats import register_label_writer, register_reader, register_segment_reader, register_writer
    from monai_semgan.io.reading import read_label, read_volume
    from monai_semgan.io.volume import Volume
    from monai_semgan.io.writing import write_label, write_map, write_volume
    from monai_semgan.learning.learn_settings import LearnSettings
    from monai_semgan.learning.new_structures import NewStructure
    from monai_semgan.learning.structure_learning import learn_structures
    from monai_semgan.losses.label_losses import PixelConstraints
    from monai_semgan.networks.added_structures import AddedStructures
    from monai_semgan.networks.discriminators import ImageDiscriminator, JointDiscriminator
    from monai_semgan.networks.encoder import LatentEncoder
    from monai_semgan.networks.generator import JointGenerator
    from monai_semgan.networks.latent import Latent
    from monai_semgan.networks.segmenter import InversionSegmenter
    from monai_semgan.networks.unet import build_student
    from monai_semgan.organs import Code, Structure, register_structure
    from monai_semgan.outputs.maps import write_maps
    from monai_semgan.outputs.overlay import save_overlay
    from monai_semgan.outputs.report.content import report_content
    from monai_semgan.outputs.report.rendering import write_report
    from monai_semgan.quality.anatomy import check_anatomy
    from monai_semgan.slicing.preprocessing import Preprocessing
    from monai_semgan.training.datasets import pack_slices
    from monai_semgan.training.planning.plan_use import plan_training
    from monai_semgan.training.run import train
    from monai_semgan.training.stages.encoder_settings import EncoderSettings
    from monai_semgan.training.stages.gan_settings import GanSettings
    from monai_semgan.training.stages.stage import Stage, StageContext
    from monai_semgan.training.stages.stage_registry import register_stage
    from monai_semgan.training.stages.student_settings import StudentSettings
    from monai_semgan.training.training_settings import TrainSettings
    from monai_semgan.transforms.dictionary import (
        EncodeSlicesd,
        ExtractLabelSlicesd,
        ExtractSlicesd,
        LoadLabeld,
        LoadVolumed,
        NormaliseIntensityd,
        PlanSlicesd,
    )
    from monai_semgan.transforms.restoring import RestoreLabeld, RestoreMapsd
    from monai_semgan.transforms.saving import SaveImageOnScand
    from monai_semgan.utils.progress import StepEvent
    from monai_semgan.workflows.evaluation import DiceReport, evaluation_entries
    from monai_semgan.workflows.inference import check_agreement, find_scans, label_names, load_network
    from monai_semgan.workflows.one_line_errors import one_line_errors
    from monai_semgan.workflows.overrides import check_overrides
    from monai_semgan.workflows.scan_dataset import ScanDataset, collate_scans
    from monai_semgan.workflows.scan_evaluator import ScanEvaluator
    from monai_semgan.workflows.training import StageTraining, VolumeDataset, list_volumes

__all__ = [
    "AddedStructures",
    "Bundle",
    "Cancelled",
    "Case",
    "CaseRunner",
    "Code",
    "CohortSettings",
    "Correction",
    "CorrectionSettings",
    "Corrector",
    "DataList",
    "DiceReport",
    "EncodeSlicesd",
    "EncoderSettings",
    "Entry",
    "ExtractLabelSlicesd",
    "ExtractSlicesd",
    "GanSettings",
    "ImageDiscriminator",
    "InversionResult",
    "InversionSegmenter",
    "InversionSettings",
    "JointDiscriminator",
    "JointGenerator",
    "Latent",
    "LatentEncoder",
    "LearnSettings",
    "LoadLabeld",
    "LoadVolumed",
    "NewStructure",
    "NormaliseIntensityd",
    "PatientScore",
    "PixelConstraints",
    "PlanSlicesd",
    "Preprocessing",
    "PreviewSettings",
    "ReconstructionObjective",
    "Record",
    "RestoreLabeld",
    "RestoreMapsd",
    "SaveImageOnScand",
    "ScanDataset",
    "ScanEvaluator",
    "Segmentation",
    "SemganError",
    "SliceInversionInferer",
    "SliceLatents",
    "Stage",
    "StageContext",
    "StageTraining",
    "StepEvent",
    "Stroke",
    "Structure",
    "StudentSettings",
    "Study",
    "TrainSettings",
    "Volume",
    "VolumeDataset",
    "__version__",
    "build_student",
    "case_key",
    "check_agreement",
    "check_anatomy",
    "check_overrides",
    "collate_scans",
    "compare",
    "create_bundle",
    "evaluate",
    "evaluation_entries",
    "fill_bundle",
    "find_cases",
    "find_scans",
    "label_names",
    "learn_structures",
    "list_volumes",
    "load_bundle",
    "load_datalist",
    "load_network",
    "load_record",
    "make_bundle",
    "one_line_errors",
    "pack_bundle",
    "pack_slices",
    "plan_training",
    "read_label",
    "read_volume",
    "register_label_writer",
    "register_objective",
    "register_reader",
    "register_segment_reader",
    "register_stage",
    "register_structure",
    "register_writer",
    "report_content",
    "sample_patient",
    "sample_slices",
    "save_overlay",
    "segment",
    "strokes_of_map",
    "train",
    "update_bundle",
    "write_label",
    "write_map",
    "write_maps",
    "write_report",
    "write_study",
    "write_summary",
    "write_volume",
]

_HOMES = {
    "authoring.create": "create_bundle",
    "authoring.fill": "fill_bundle",
    "authoring.make": "make_bundle",
    "authoring.pack": "pack_bundle",
    "authoring.update": "update_bundle",
    "bundle.load": "Bundle load_bundle",
    "cohort.case_runner": "CaseRunner",
    "cohort.cases": "Case find_cases",
    "cohort.cohort_settings": "CohortSettings case_key",
    "cohort.records": "Record load_record write_summary",
    "correction.correction_result": "Correction",
    "correction.correction_settings": "CorrectionSettings",
    "correction.corrector": "Corrector",
    "correction.slice_latents": "SliceLatents",
    "correction.strokes": "Stroke strokes_of_map",
    "data.datalist": "DataList Entry load_datalist",
    "errors": "Cancelled SemganError",
    "evaluation.comparison": "compare",
    "evaluation.scores": "PatientScore Study",
    "evaluation.study": "evaluate",
    "evaluation.tables": "write_study",
    "inference.inferer": "SliceInversionInferer",
    "inference.views": "PreviewSettings",
    "inference.segmentation": "Segmentation segment",
    "inference.synthesis": "sample_patient sample_slices",
    "inversion.inversion_settings": "InversionSettings",
    "inversion.objectives.base": "ReconstructionObjective",
    "inversion.objectives.registry": "register_objective",
    "inversion.result": "InversionResult",
    "io.formats": "register_label_writer register_reader register_segment_reader register_writer",
    "io.reading": "read_label read_volume",
    "io.volume": "Volume",
    "io.writing": "write_label write_map write_volume",
    "learning.learn_settings": "LearnSettings",
    "learning.new_structures": "NewStructure",
    "learning.structure_learning": "learn_structures",
    "losses.label_losses": "PixelConstraints",
    "networks.added_structures": "AddedStructures",
    "networks.discriminators": "ImageDiscriminator JointDiscriminator",
    "networks.encoder": "LatentEncoder",
    "networks.latent": "Latent",
    "networks.generator": "JointGenerator",
    "networks.segmenter": "InversionSegmenter",
    "networks.unet": "build_student",
    "organs": "Code Structure register_structure",
    "outputs.maps": "write_maps",
    "outputs.overlay": "save_overlay",
    "outputs.report.content": "report_content",
    "outputs.report.rendering": "write_report",
    "quality.anatomy": "check_anatomy",
    "slicing.preprocessing": "Preprocessing",
    "training.datasets": "pack_slices",
    "training.planning.plan_use": "plan_training",
    "training.run": "train",
    "training.stages.encoder_settings": "EncoderSettings",
    "training.stages.gan_settings": "GanSettings",
    "training.stages.stage": "Stage StageContext",
    "training.stages.stage_registry": "register_stage",
    "training.stages.student_settings": "StudentSettings",
    "training.training_settings": "TrainSettings",
    "transforms.dictionary": (
        "EncodeSlicesd ExtractLabelSlicesd ExtractSlicesd LoadLabeld LoadVolumed NormaliseIntensityd PlanSlicesd"
    ),
    "transforms.restoring": "RestoreLabeld RestoreMapsd",
    "transforms.saving": "SaveImageOnScand",
    "utils.progress": "StepEvent",
    "workflows.evaluation": "DiceReport evaluation_entries",
    "workflows.inference": "check_agreement find_scans label_names load_network",
    "workflows.one_line_errors": "one_line_errors",
    "workflows.overrides": "check_overrides",
    "workflows.scan_dataset": "ScanDataset collate_scans",
    "workflows.scan_evaluator": "ScanEvaluator",
    "workflows.training": "StageTraining VolumeDataset list_volumes",
}
"""Module to the public names that it defines."""

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

install()


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    # where somebody types: MONAI asks every module of a program for its members, and that would load them all
    return sorted({*globals(), *__all__}) if hasattr(sys, "ps1") else list(globals())
