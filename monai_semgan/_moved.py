"""Import paths of release 0.1: they still work, warn once for each name, and go in 0.3. One table holds them all.

A module that is gone is found by `OldPaths`, which stands at the end of Python's list of finders. A package that has
stayed, but whose names have left it, takes `moved_names` as its `__getattr__`. Nothing is imported before it is used.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any

PACKAGE = "monai_semgan"

REMEDY = "`semgan bundle update DIR` does that in a bundle"

MOVED = {
    "anatomy": "quality.anatomy inference.examination organs",
    "atomic": "utils.files",
    "bundle": "bundle.load bundle.labels bundle.digest",
    "bundle_command": "workflows.command_line",
    "bundle_errors": "workflows.one_line_errors",
    "bundle_overrides": "workflows.overrides",
    "bundle_run": "workflows.inference",
    "bundling": "authoring",
    "bundling.archive": "authoring.pack",
    "bundling.checks": "authoring.checks",
    "bundling.contents": "authoring.contents",
    "bundling.creating": "authoring.create",
    "bundling.filling": "authoring.fill",
    "bundling.formats": "authoring.metadata",
    "bundling.readme": "authoring.readme",
    "cli.common": "cli.arguments",
    "cli.main": "cli.program",
    "cohort.running": "cohort.case_runner",
    "cohort.settings": "cohort.cohort_settings",
    "data": "io.volume io.reading io.writing organs data.datalist slicing.preprocessing slicing.prepared "
    "data.slice_set data.sampler data.preparation",
    "data.dicom": "io.dicom",
    "data.dicom.codestream": "io.dicom.codestream",
    "data.dicom.deflated": "io.dicom.deflated",
    "data.dicom.files": "io.dicom.dicom_files",
    "data.dicom.frames": "io.dicom.frames",
    "data.dicom.headers": "io.dicom.headers",
    "data.dicom.pixels": "io.dicom.pixels",
    "data.dicom.radiograph": "io.dicom.radiograph",
    "data.dicom.reader": "io.dicom.series_reader",
    "data.dicom.rtstruct": "io.dicom.rtstruct",
    "data.dicom.seg": "io.dicom.seg_writing",
    "data.dicom.seg_reading": "io.dicom.seg_reading",
    "data.dicom.series": "io.dicom.series",
    "data.dicom.source": "io.dicom.source",
    "data.dicom.stack": "io.dicom.stack",
    "data.formats": "io.formats",
    "data.itk": "io.itk",
    "data.itk_header": "io.itk_header",
    "data.limits": "io.limits",
    "data.named_segments": "io.named_segments",
    "data.nifti": "io.nifti",
    "data.output": "utils.files io.formats",
    "data.picture": "io.image2d",
    "data.preprocessing": "slicing.preprocessing slicing.prepared slicing.window",
    "data.seg_nrrd": "io.seg_nrrd",
    "data.slices": "data.slice_set data.preparation slicing.encoding data.sampler",
    "data.state": "utils.file_state",
    "data.streaming": "io.streaming",
    "data.terminology": "organs",
    "data.volume": "io.reading io.volume io.writing utils.files",
    "data.writing": "io.writing",
    "device": "utils.device",
    "domain": "quality.assessment",
    "domain.assessment": "quality.assessment",
    "domain.features": "quality.features",
    "domain.fitting": "evaluation.calibration evaluation.calibration_samples",
    "domain.mirror": "inference.mirror",
    "domain.spoiling": "evaluation.corruptions",
    "evaluation.engine": "workflows.evaluation",
    "inferers": "inference.inferer",
    "inversion.inverter": "inversion.search",
    "inversion.objective": "inversion.total",
    "inversion.settings": "inversion.inversion_settings",
    "inversion.starts": "inversion.restarts",
    "label_app.jobs": "jobs",
    "label_app.jobs.attaching": "jobs.api.attaching",
    "label_app.jobs.checking": "jobs.scan_checks",
    "label_app.jobs.contract": "jobs.contract",
    "label_app.jobs.describing": "jobs.workers.describing",
    "label_app.jobs.dispatching": "jobs.dispatcher",
    "label_app.jobs.logs": "jobs.storage.job_log",
    "label_app.jobs.messages": "jobs.workers.messages utils.processes",
    "label_app.jobs.models": "jobs.models",
    "label_app.jobs.openapi": "jobs.api.openapi",
    "label_app.jobs.planning": "jobs.planner",
    "label_app.jobs.pool": "jobs.workers.pool",
    "label_app.jobs.problems": "jobs.api.error_answers",
    "label_app.jobs.process": "utils.processes utils.process_pool",
    "label_app.jobs.refusals": "jobs.job_errors",
    "label_app.jobs.result_desk": "jobs.storage.result_access",
    "label_app.jobs.result_files": "jobs.storage.result_files",
    "label_app.jobs.room": "jobs.storage.quota",
    "label_app.jobs.routes": "jobs.api.job_routes",
    "label_app.jobs.running": "jobs.workers.job_runner",
    "label_app.jobs.scheduler": "jobs.scheduler",
    "label_app.jobs.service": "jobs.service",
    "label_app.jobs.slice_maps": "outputs.maps",
    "label_app.jobs.store": "jobs.storage.store",
    "label_app.jobs.uploads": "jobs.storage.uploads",
    "label_app.jobs.worker": "jobs.workers.worker",
    "label_app.results": "outputs.description",
    "label_app.server.limits": "label_app.server.body_limit",
    "label_app.server.logs": "label_app.server.server_log",
    "label_app.server.routes.common": "label_app.server.routes.shared",
    "label_app.server.routes.datastore": "label_app.server.routes.datastore_routes",
    "label_app.server.routes.infer": "label_app.server.routes.infer_routes",
    "label_app.server.routes.learning": "label_app.server.routes.learning_routes",
    "label_app.server.routes.login": "label_app.server.routes.login_routes",
    "label_app.server.routes.others": "label_app.server.routes.others_routes",
    "label_app.server.routes.sessions": "label_app.server.routes.sessions_routes",
    "label_app.server.routes.tasks": "label_app.server.routes.tasks_routes",
    "label_app.server.run": "label_app.server.start",
    "label_app.server.uploads": "label_app.server.received_files",
    "losses.descriptors": "inversion.objectives.structure",
    "losses.intensity_map": "inversion.objectives.intensity_map",
    "losses.objective": "inversion.objectives.base",
    "losses.reconstruction": "inversion.objectives.registry inversion.objectives.l1_features",
    "losses.segmentation": "losses.label_losses",
    "maps": "outputs.maps slicing.scan_maps",
    "networks.student": "networks.unet",
    "overlay": "outputs.overlay",
    "postprocessing": "slicing.postprocessing io.volume",
    "preview": "inference.preview inference.views",
    "progress": "utils.progress utils.progress_bar",
    "report": "outputs.report",
    "report.content": "outputs.report.content",
    "report.diameters": "outputs.report.diameters",
    "report.pictures": "outputs.report.pictures",
    "report.residual": "outputs.report.rendered_residual",
    "report.writing": "outputs.report.rendering",
    "results": "outputs.write",
    "sampling": "inference.synthesis inference.patient_shape",
    "segmentation": "inference.segmentation inference.slice_modes",
    "training.budget": "training.engine.schedule",
    "training.bundle_stage": "workflows.training",
    "training.datasets": "training.datasets",
    "training.ema": "training.engine.ema",
    "training.encoder": "training.stages.encoder_stage",
    "training.files": "training.engine.run_files",
    "training.gan": "training.stages.gan_stage",
    "training.gan_settings": "training.stages.gan_settings",
    "training.generators": "training.pretrained",
    "training.handlers": "training.engine.handlers training.engine.stop_request",
    "training.loop": "training.engine.loop training.engine.run_files",
    "training.pool": "training.pair_pool",
    "training.quality": "training.image_quality",
    "training.record": "training.engine.record utils.versions",
    "training.sampling": "training.labelled_sampler",
    "training.seeds": "training.engine.seeds",
    "training.sheets": "training.image_grids",
    "training.stage": "training.stages.stage",
    "training.student": "training.stages.student_stage",
    "training.workers": "training.engine.distributed",
    "transforms.adversarial_augment": "training.augmentation.discriminator_augmentation",
    "transforms.body": "slicing.body",
    "transforms.contrast": "training.augmentation.contrast",
    "transforms.geometry": "slicing.geometry slicing.planning",
    "transforms.intensity": "slicing.window slicing.preprocessing modalities",
    "transforms.oblique": "slicing.oblique slicing.planning",
    "transforms.orientation": "slicing.orientation",
    "transforms.paired": "training.augmentation.paired",
    "transforms.resampling": "slicing.geometry",
    "transforms.sampling": "training.augmentation.random_draws",
}
"""Module of 0.1 to the modules of today that have its names, in the order of search."""

RENAMED = {
    "DiskRoom": "DiskQuota",
    "doubt_curve": "uncertainty_curve",
    "FRAMES": "FIELDS_OF_VIEW",
    "is_foreign": "is_out_of_domain",
    "new_bundle": "create_bundle",
    "NoRoom": "NoSpace",
    "organ_key": "structure_key",
    "pack": "pack_slices",
    "organ_signs": "quality_features",
    "read_picture": "read_image2d",
    "read_picture_label": "read_image2d_label",
    "Refusal": "JobError",
    "ResultDesk": "ResultAccess",
    "segment_volume": "segment",
    "sheet": "image_grid",
    "SIGNS": "FEATURES",
    "slice_doubt": "slice_uncertainty",
    "Spoiling": "Corruption",
    "SPOILINGS": "CORRUPTIONS",
    "Surroundings": "StageContext",
    "write_picture_label": "write_image2d_label",
}
"""Name of 0.1 to that of today."""


class OldNameWarning(FutureWarning):
    """A name of an earlier version was used, of a module, a class or a setting."""


class MovedModule(ModuleType):
    """A module of 0.1 that is gone; its names are those of its successors."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__dict__["__getattr__"] = moved_names(name)

    def __call__(self, *arguments: Any) -> Any:
        """Do what the function of the same name did: `monai_semgan.cli.main` was a module and a function."""
        return getattr(self, self.__name__.rpartition(".")[2])(*arguments)


class OldPaths:
    """Finder and loader of the modules that are gone."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Tell how a module of 0.1 is loaded; None for all others."""
        door, _, short = name.partition(".")
        if door != PACKAGE or short not in MOVED:
            return None
        inside = f"{short}."
        return ModuleSpec(name, OldPaths, is_package=any(old.startswith(inside) for old in MOVED))  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        """Make a module without names of its own."""
        return MovedModule(spec.name)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Do nothing: names are looked up when they are used."""

    @staticmethod
    def get_code(name: str) -> CodeType | None:
        """Give the program of a moved module, for `python -m`."""
        today = f"{PACKAGE}.{MOVED[name.partition('.')[2]].split()[0]}"
        _tell_once(name, today)
        spec = find_spec(today)
        return spec.loader.get_code(today) if spec and spec.loader else None  # type: ignore[attr-defined,no-any-return]


def moved_names(module: str) -> Callable[[str], Any]:
    """Make the `__getattr__` of a module whose names have moved.

    Args:
        module: its full name in 0.1.
    """

    def find(name: str) -> Any:
        if not name.startswith("__"):
            if f"{module}.{name}".partition(".")[2] in MOVED:
                return import_module(f"{module}.{name}")
            place = new_place(module, name)
            if place is not None:
                _tell_once(f"{module}.{name}", place[0])
                return place[1]
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return find


def new_place(module: str, name: str) -> tuple[str, Any] | None:
    """Find what a name of 0.1 is today.

    Args:
        module: its full name in 0.1.
        name: in that module.

    Returns:
        The path to write, that of a public name if it is one, and the object; None if there is no such name.
    """
    today = RENAMED.get(name, name)
    for target in MOVED.get(module.partition(".")[2], "").split():
        room = import_module(f"{PACKAGE}.{target}")
        for spelling in dict.fromkeys((today, name)):
            if spelling in vars(room):
                found = vars(room)[spelling]
                return public_path(spelling, found) or f"{_home(found, room)}.{spelling}", found
    return None


def public_path(name: str, found: object) -> str | None:
    """Path of an object as a public name, or None if it is none."""
    door = import_module(PACKAGE)
    return f"{PACKAGE}.{name}" if name in door.__all__ and getattr(door, name) is found else None


def _home(found: object, room: ModuleType) -> str:
    """Module that defines an object: others import it as well."""
    home = str(getattr(found, "__module__", ""))
    return home if home.startswith(f"{PACKAGE}.") else room.__name__


def install() -> None:
    """Let Python find the modules of 0.1."""
    if OldPaths not in sys.meta_path:
        sys.meta_path.append(OldPaths)  # type: ignore[arg-type]


_told: set[str] = set()


def _tell_once(old: str, new: str) -> None:
    if old in _told:
        return
    _told.add(old)
    # where the name was used: frames of Python's own import machinery do not count
    warnings.warn(f"{old} has moved and goes in 0.3: write {new}; {REMEDY}", OldNameWarning, stacklevel=3)
