"""Sentences about runs and results."""

from __future__ import annotations

from .Translation import tr as _
from .Types import Domain, Health, Job, Model
from .Views import EXPORTING, IMPORTING, LOST, UPLOADING

IN_DOMAIN = "in domain"


def phase_text(phase: str, job: Job | None) -> str:
    """Say where a run stands."""
    fixed = {
        EXPORTING: _("Preparing the volume"),
        UPLOADING: _("Sending the volume"),
        IMPORTING: _("Loading the result"),
        LOST: _("The server does not answer at the moment; the job goes on there, trying again"),
    }
    if phase in fixed:
        return fixed[phase]
    if job is None:
        return ""
    if phase == "running":
        return running_text(job)
    if phase == "queued":
        return _queued(job.position)
    return job.message or phase


def _queued(position: int | None) -> str:
    if not position:
        return _("Waiting for the server to begin")
    return _("Waiting: {count} before this one").format(count=position)


def running_text(job: Job) -> str:
    """Say `"Step 12 of 60, 31 of 90 slices converged, about 40 s left"`, with what is known."""
    parts = []
    if job.steps:
        parts.append(_("Step {step} of {steps}").format(step=job.step, steps=job.steps))
    elif job.step:
        parts.append(_("Step {step}").format(step=job.step))
    if job.slices and job.loss:
        parts.append(_("{done} of {all} slices converged").format(done=job.slices_converged, all=job.slices))
    if job.eta_seconds is not None:
        parts.append(_("about {time} left").format(time=duration(job.eta_seconds)))
    return ", ".join(parts) or job.message or _("Running")


def duration(seconds: float) -> str:
    """Say `"40 s"` or `"3 min"`."""
    if seconds < 90:
        return _("{count} s").format(count=max(1, round(seconds)))
    return _("{count} min").format(count=round(seconds / 60))


def fraction(job: Job | None) -> float | None:
    """Compute how much of a job is done, 0 to 1; None while it cannot be told."""
    if job is None or not job.steps:
        return None
    return min(1.0, job.step / job.steps)


def domain_warning(domain: Domain | None) -> str:
    """Warn in plain words where a scan is out of domain or nearly so; empty otherwise."""
    if domain is None or domain.verdict == IN_DOMAIN:
        return ""
    if domain.verdict == "unusual":
        text = _("This scan is unusual for the model: check the result with care.")
    else:
        text = _("This scan is unlike those the model has learnt from: do not rely on the result.")
    return f"{text} {domain.advice}".strip()


def connected_text(address: str, health: Health, models: tuple[Model, ...]) -> str:
    """Say what the module is connected to."""
    devices = ", ".join(sorted({worker.device for worker in health.workers})) or _("unknown device")
    names = ", ".join(f"{model.name} {model.version}" for model in models) or _("no model")
    state = "" if health.ready else " " + _("It is still warming up.")
    return _("Connected to {address} (SemGAN {version}, {devices}): {names}.{state}").format(
        address=address, version=health.version, devices=devices, names=names, state=state
    )


def consent_text(name: str, address: str) -> str:
    """Say what would be sent to another computer."""
    return _(
        "The volume “{name}” would be sent to {address}, which is not this computer.\n\n"
        "Sent are the voxels and their geometry (spacing, origin, directions) under a random id. The name of the"
        " volume, the patient's data and the header of the scanner are not sent. What is drawn into the voxels"
        " themselves, such as burned-in text or a face, goes along.\n\nSend it?"
    ).format(name=name, address=address)


def replace_text(name: str) -> str:
    """Say what is lost when a segmentation is replaced."""
    return _("All segments of “{name}” will be replaced by the result. Replace them?").format(name=name)
