"""MONAI Label's routes once more, for the same clients, with input that is checked and on threads that may wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI


def add_routes(app: FastAPI) -> None:
    """Add all of them. MONAI Label's settings have to be made before: its roles are read when it is imported."""
    from monailabel.endpoints import info

    from monai_semgan.label_app.server.routes.archive_routes import router as archive
    from monai_semgan.label_app.server.routes.datastore_routes import router as datastore
    from monai_semgan.label_app.server.routes.datastore_routes import uploads_router as uploads
    from monai_semgan.label_app.server.routes.infer_routes import router as infer
    from monai_semgan.label_app.server.routes.label_routes import router as labels
    from monai_semgan.label_app.server.routes.learning_routes import router as learning
    from monai_semgan.label_app.server.routes.login_routes import add_login
    from monai_semgan.label_app.server.routes.others_routes import router as others
    from monai_semgan.label_app.server.routes.sessions_routes import router as sessions
    from monai_semgan.label_app.server.routes.studies_routes import router as studies
    from monai_semgan.label_app.server.routes.tasks_routes import router as tasks
    from monai_semgan.label_app.server.routes.version_routes import router as versions

    for router in (
        info.router,
        infer,
        tasks,
        learning,
        datastore,
        uploads,
        labels,
        versions,
        studies,
        archive,
        sessions,
        others,
    ):
        app.include_router(router)
    add_login(app)
