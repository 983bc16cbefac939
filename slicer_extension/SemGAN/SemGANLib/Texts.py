"""Sentences about runs, and questions. Those about models and results are in `ResultTexts`."""

from __future__ import annotations

from .Translation import tr as _
from .Types.JobTypes import Job
from .Types.ModelTypes import Model
from .Types.ServerTypes import Health
from .Views import EXPORTING, IMPORTING, LOST, UPLOADING, Moved

OVERDUE = "longer than expected"
"""In the server's message when the time that it had expected is over."""


SHOWN_BYTES = 2_000_000
"""Transfers that are smaller are over before anybody has read how far they are."""


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
        return _queued(job)
    if phase == "paused":
        return capital(job.message) or _("Paused: a preview goes first, then this goes on where it was")
    if phase == "warming":
        return capital(job.message) or _("The server loads the model; this is done once")
    return capital(job.message) or phase


def _queued(job: Job) -> str:
    if not job.position:
        return _("Waiting for the server to begin")
    parts = [_("Waiting: {count} before this one").format(count=job.position)]
    if job.eta_seconds is not None:
        parts.append(_("done in about {time}").format(time=duration(job.eta_seconds)))
    return ", ".join(parts)


def running_text(job: Job) -> str:
    """Say `"Step 12 of 60, 31 of 90 slices done, about 40 s left"`, with what is known."""
    parts = []
    if job.steps:
        parts.append(_("Step {step} of {steps}").format(step=job.step, steps=job.steps))
    elif job.step:
        parts.append(_("Step {step}").format(step=job.step))
    if job.slices and job.loss:
        parts.append(_("{done} of {all} slices done").format(done=job.slices_converged, all=job.slices))
    if job.eta_seconds is not None:
        parts.append(_("about {time} left").format(time=duration(job.eta_seconds)))
    elif parts and OVERDUE in job.message:
        parts.append(_("takes longer than expected"))
    return ", ".join(parts) or capital(job.message) or _("Running")


def transfer_text(phase: str, moved: Moved) -> str:
    """Say `"Sending the volume: 12 of 367 MB, 1.2 MB/s, about 5 min left"`, as far as it is known."""
    text = phase_text(phase, None)
    if not moved.total or moved.total < SHOWN_BYTES:
        return text
    if moved.waiting:
        broken = _("{done:.0f} of {total:.0f} MB have arrived; the connection is broken, trying again")
        return f"{text}: {broken.format(done=moved.done / 1e6, total=moved.total / 1e6)}"
    parts = [_("{done:.0f} of {total:.0f} MB").format(done=moved.done / 1e6, total=moved.total / 1e6)]
    if moved.speed is not None:
        parts.append(_("{speed:.1f} MB/s").format(speed=moved.speed / 1e6))
    if moved.seconds_left is not None and moved.done < moved.total:
        parts.append(_("about {time} left").format(time=duration(moved.seconds_left)))
    return f"{text}: {', '.join(parts)}"


def capital(text: str) -> str:
    """Begin a text with a capital letter."""
    return text[:1].upper() + text[1:]


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


def connected_text(address: str, health: Health, models: tuple[Model, ...]) -> str:
    """Say what the module is connected to, and whether a preview would begin at once."""
    devices = ", ".join(sorted({device_name(worker.device) for worker in health.workers} - {""}))
    names = ", ".join(f"{model.name} {model.version}" for model in models) or _("no model")
    state = _state(health)
    where = " " + _("on {devices}").format(devices=devices) if devices else ""
    text = _("{state}: {names}{where}.\nConnected to {address}, SemGAN {version}.")
    return text.format(state=state, names=names, where=where, address=address, version=health.version)


def _state(health: Health) -> str:
    states = {worker.state for worker in health.workers}
    if health.ready:
        return _("Ready")
    if "busy" in states:
        return _("Busy with a job")
    if states and states <= {"stopped"}:
        return _("Stopped, the server cannot compute: its log tells why")
    return _("Warming up, the server loads the model")


def device_name(device: str) -> str:
    """Name a device as people do: `"cuda:0"` is a GPU; empty for one that the server has not settled on."""
    kinds = {"cpu": _("CPU"), "cuda": _("GPU"), "mps": _("GPU"), "auto": ""}
    return kinds.get(device.split(":")[0], device)


def consent_text(name: str, address: str, keep_seconds: float | None = None) -> str:
    """Say what would be sent to another computer, and how long it stays there if that is known."""
    text = _(
        "The volume “{name}” would be sent to {address}, which is not this computer.\n\n"
        "Sent are the voxels and their geometry (spacing, origin, directions) under a random id. The name of the"
        " volume, the patient's data and the header of the scanner are not sent. What is drawn into the voxels"
        " themselves, such as burned-in text or a face, goes along."
    ).format(name=name, address=address)
    if keep_seconds is not None:
        kept = _("It is removed there when you close the volume, the scene or the module, after {time} at the latest.")
        text += " " + kept.format(time=long_duration(keep_seconds))
    return text + "\n\n" + _("Send it?")


def long_duration(seconds: float) -> str:
    """Say `"24 hours"` or `"7 days"`."""
    hours = max(1, round(seconds / 3600))
    return _("{count} hours").format(count=hours) if hours < 48 else _("{count} days").format(count=round(hours / 24))


def replace_text(name: str) -> str:
    """Say what is lost when a segmentation is replaced."""
    return _("All segments of “{name}” will be replaced by the result. Replace them?").format(name=name)


def unexpected_text(error: Exception) -> str:
    """Say that a run has ended by a fault of the module's own."""
    return _("Something unexpected happened ({kind}: {error}). The scene is as it was; try again.").format(
        kind=type(error).__name__, error=error
    )


def unheard_text() -> str:
    """Say that a run has ended here, but perhaps not at the server."""
    return _("Ended here. The server has not confirmed it: the job may go on there, and is removed in time.")
