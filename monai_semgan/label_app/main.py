"""Entry of the MONAI Label app: `monailabel start_server --app monai_semgan/label_app --studies DIR`.

MONAI Label looks in this file for a class whose direct base is `MONAILabelApp`; what it does stands in the modules
beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.batch_infer import BatchInferTask
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy

from monai_semgan.dicomweb.archive_errors import ArchiveError
from monai_semgan.jobs.ownership import NOBODY, Asker
from monai_semgan.label_app.activelearning.openable import Openable
from monai_semgan.label_app.activelearning.scoring import scoring_methods
from monai_semgan.label_app.activelearning.strategies import SCORES, hold, of_another, strategies
from monai_semgan.label_app.archive_store.archive_datastore import ArchiveDatastore
from monai_semgan.label_app.archive_store.archive_failures import NotFetched
from monai_semgan.label_app.archive_store.archive_settings import (
    archive_address,
    cache_limits,
    result_kinds,
    studies_home,
)
from monai_semgan.label_app.archive_store.submissions import Submissions
from monai_semgan.label_app.batch import Failure, Report, SemganBatchInfer
from monai_semgan.label_app.datastore import PRIVATE, StudiesDatastore
from monai_semgan.label_app.infer import LocalEngine, infer_tasks, run_infer
from monai_semgan.label_app.interactive_tasks import correcting_tasks
from monai_semgan.label_app.job_engine import JobEngine, SharedEngine
from monai_semgan.label_app.job_settings import folder_in_use, make_service
from monai_semgan.label_app.sessions import SafeSessions
from monai_semgan.label_app.sittings import Sittings
from monai_semgan.label_app.stock_trainers import stock_trainers
from monai_semgan.label_app.training_source import labelled_images
from monai_semgan.utils.file_state import State, file_state

if TYPE_CHECKING:
    from fastapi import FastAPI

    from monai_semgan.jobs.service import JobService
    from monai_semgan.jobs.training_labels import LabelledImage


class SemganApp(MONAILabelApp):
    """Serves a model bundle to any MONAI Label client.

    Args:
        app_dir: this folder.
        studies: folder with the scans, or address of an archive that speaks DICOMweb.
        conf: `--conf NAME VALUE` of the server: `bundle` (folder, or several as in `PATH`), `device`, `labels` (folder
            that is written to instead of the studies), `upload_limit_mb`, `disk_limit_gb` and `keep_hours` of the job
            API, `auto_scoring` (true or false); for an archive `archive_cache_gb`, `archive_cache_hours` and
            `archive_also`.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self._address = archive_address(studies)
        self.submissions: Submissions | None = None
        self.home = studies_home(studies, conf)
        self._local = LocalEngine(folder_in_use(conf, self.home), conf.get("device", "auto"))
        self._jobs = JobEngine(self._local.labels)
        self._sittings = Sittings(self._jobs)
        self.engine = SharedEngine(self._local)
        self._digest: tuple[list[State], str] = [], ""
        self.on_new_model: list[Callable[[], None]] = []
        super().__init__(app_dir, studies, conf, name="SemGAN", description="Organs in CT and MRI. Research use only.")

    def init_datastore(self) -> Datastore:
        """Return the folder of studies, or the archive."""
        reload, read_only = settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD, settings.MONAI_LABEL_DATASTORE_READ_ONLY
        if self._address is None:
            return StudiesDatastore(self.studies, reload, read_only, str(self.home))
        limit_bytes, keep_seconds = cache_limits(self.conf)
        return ArchiveDatastore(
            self._address, self.home, reload, read_only, limit_bytes=limit_bytes, keep_seconds=keep_seconds
        )

    def init_infers(self) -> dict[str, InferTask]:
        """Return a task for each of the modes preview, invert and refine that the model has, and those that correct."""
        segmenting = infer_tasks(self.engine, self._local.dice, self._local.modes)
        return {**segmenting, **correcting_tasks(self._local.labels, self._sittings)}

    def init_batch_infer(self) -> BatchInferTask:
        """Return batches that also run without a GPU."""
        return SemganBatchInfer()

    def init_strategies(self) -> dict[str, Strategy]:
        """Return strategies of active learning."""
        return strategies(model=self._model_digest, usable=Openable())

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """Return what gives unlabelled images the scores that strategies rank by; none for a student alone."""
        return scoring_methods(self.engine, self._model_digest) if "invert" in self._local.modes else {}

    def _load_sessions(self, load: bool = False) -> SafeSessions | None:
        return SafeSessions(settings.MONAI_LABEL_SESSION_PATH, settings.MONAI_LABEL_SESSION_EXPIRY) if load else None

    def on_init_complete(self) -> None:
        """Add the job API to MONAI Label's own server, which calls this when it starts."""
        from monailabel.app import app

        self.use_jobs(app)
        super().on_init_complete()

    def use_jobs(self, app: FastAPI) -> JobService:
        """Add the job API to an app, and let its worker do all inference from now on.

        Returns:
            The service, which whoever serves the app closes in the end.

        Raises:
            SemganError: another server holds the studies.
        """
        from monai_semgan.jobs.api.attaching import attach_jobs

        service = attach_jobs(app, make_service(self.conf, self.home, self._find_file, self._find_labels))
        datastore = self.datastore()
        if isinstance(datastore, StudiesDatastore):
            datastore.remove_leftovers()
        if isinstance(datastore, ArchiveDatastore):
            folder, kinds = self.home / PRIVATE / "outgoing", result_kinds(self.conf)
            self.submissions = Submissions(datastore, folder, lambda: service.models, kinds)
            datastore.cache.in_use = lambda: self._folders_in_use(service, datastore)
        sessions = self.sessions()
        if isinstance(sessions, SafeSessions):
            sessions.share(service.quota, self.home)
        self._jobs.service = service
        self.engine.use(self._jobs)
        service.training.library.on_change.append(self._follow)
        return service

    def close(self) -> None:
        """End what runs behind the datastore."""
        if self.submissions is not None:
            self.submissions.close()
        datastore = self.datastore()
        if isinstance(datastore, StudiesDatastore):
            datastore.close()

    def on_save_label(self, image_id: str, label_id: str) -> dict[str, Any]:
        """Send the final label of a scan of an archive there, and tell how that went; others are kept here alone."""
        told = dict(super().on_save_label(image_id, label_id) or {})
        sent = self.submissions.submit(image_id) if self.submissions else None
        return {**told, **({"archive": sent.told()} if sent is not None else {})}

    def stoppable(self, stop: Callable[[], bool], asker: Asker = NOBODY) -> AbstractContextManager[None]:
        """Within the block, what this thread segments is cancelled as soon as `stop` says so, and is the asker's."""
        return self._jobs.stoppable(stop, asker)

    def _find_file(self, image: str) -> Path | None:
        own = self._jobs.find(image)
        if own is not None:
            return own
        try:
            path = self.datastore().get_image_uri(image)
        except ArchiveError as error:
            raise NotFetched(error) from error
        return Path(path) if path else None

    def _folders_in_use(self, service: JobService, datastore: ArchiveDatastore) -> set[Path]:
        """Return the folders of scans that jobs read or wait for, in the cache of an archive."""
        images = {job.request.image for job in service.jobs().jobs if job.finished is None} - {None}
        files = {self._jobs.find(str(image)) for image in images} | set(self._jobs.files)
        own = {file.parents[1] for file in files if file is not None}
        return own | {datastore.volume_folder(str(image)) for image in images}

    @property
    def service(self) -> JobService:
        """The job service, once there is one."""
        assert self._jobs.service is not None, "the service comes with `use_jobs`"
        return self._jobs.service

    def offer_training(self) -> None:
        """Offer clients of MONAI Label the trainings of the job API."""
        self._trainers = stock_trainers(self.service)

    def methods_to_repeat(self) -> list[str]:
        """Return the scoring methods whose scores of another model are still there."""
        datastore, model = self.datastore(), self._model_digest()
        infos = [datastore.get_image_info(image) for image in datastore.get_unlabeled_images()]
        return [name for name in self._scoring_methods if any(of_another(info.get(name), model) for info in infos)]

    def without_old_scores(self, image: str, info: dict[str, Any]) -> dict[str, Any]:
        """Return what is told of an image without scores of another model, or of what the image was before."""
        if hold(info.get(SCORES), image, self.datastore(), self._model_digest()):
            return info
        return {name: value for name, value in info.items() if name != SCORES}

    def _find_labels(self) -> list[LabelledImage]:
        datastore = self.datastore()
        return labelled_images(datastore) if isinstance(datastore, StudiesDatastore) else []

    def _follow(self, model: str) -> None:
        """Offer the version of the default model that is in use from now on."""
        service = self._jobs.service
        if service is None or model != next(iter(service.models)):
            return
        self._local.use(service.models[model].folder)
        self._jobs.labels = self.engine.labels = self._local.labels
        self._infers = self.init_infers()
        for tell in self.on_new_model:
            tell()

    def infer(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Segment one image; `maps` in the request also saves the extra maps as labels with tags of their own."""
        return run_infer(self._infers, request, datastore or self.datastore())

    def run_batch(self, request: dict[str, Any], report: Report, on_failure: Failure | None = None) -> dict[str, Any]:
        """Segment many images here, and tell how far it is, and which cannot be segmented."""
        batch: Any = self._batch_infer
        with self._jobs.queueing():
            return dict(batch(request, self.datastore(), self.infer, report, on_failure))

    def run_scoring(self, request: dict[str, Any], report: Report) -> dict[str, Any]:
        """Score images here, and tell how far it is; the jobs of users go first."""
        method: Any = self._scoring_methods[request["method"]]
        with self._jobs.giving_way():
            return dict(method(request, self.datastore(), report))

    def async_scoring(self, method: str | None, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do nothing unless `--conf auto_scoring true`: MONAI Label would start a process at every question."""
        wanted = str(self.conf.get("auto_scoring", "")).lower() == "true"
        return dict(super().async_scoring(method, params) or {}) if wanted else {}

    def _model_digest(self) -> str:
        """Return the hash of the model, which is read again only when the time of its files has changed."""
        from monai_semgan.bundle.digest import model_digest
        from monai_semgan.bundle.labels import CONFIG, METADATA, WEIGHTS

        states = [file_state(self._local.folder / name) for name in (WEIGHTS, CONFIG, METADATA)]
        if self._digest[0] != states:
            self._digest = states, model_digest(self._local.folder)
        return self._digest[1]

    def weights(self) -> Path:
        """Return the file of weights that is used."""
        from monai_semgan.bundle.labels import WEIGHTS

        return self._local.folder / WEIGHTS
