"""Write `run.html` and `progress.png` of a run: files that a browser can open while the training goes on."""

from __future__ import annotations

import io
import logging
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
from jinja2 import Template
from PIL import Image

from monai_semgan.errors import SemganError
from monai_semgan.training.engine.run_files import write_bytes
from monai_semgan.training.run_page.curves import draw_panels
from monai_semgan.training.run_page.run_content import LiveStage, RunContent, duration, run_content
from monai_semgan.utils.files import utf8
from monai_semgan.utils.html_pages import page_template, png_address

logger = logging.getLogger(__name__)

PAGE, PICTURE = "run.html", "progress.png"

WORST = "worst_slices.png"
"""In the folder of a stage: its worst validation slices."""

REFRESH_SECONDS = 20


def write_run_page(run: Path, live: LiveStage | None = None) -> Path:
    """Write the page and the curves of a run.

    What goes wrong is told and does not end a training: a program on Windows that holds the page open, say, or a record
    that is not as this version writes it.

    Args:
        run: its folder.
        live: the stage in hand; None when nobody is at the run.

    Returns:
        The page.
    """
    try:
        content = run_content(run, live)
        curves = _png(draw_panels([stage.panels for stage in content.stages]))
        write_bytes(run / PICTURE, curves)
        write_bytes(run / PAGE, utf8(render(content, run, curves, live is not None)))
    except Exception as error:  # whatever it is, weights are worth more than their page
        logger.warning("the page of the run is not up to date: %s", error, exc_info=not _told(error))
    return run / PAGE


def render(content: RunContent, run: Path, curves: bytes, refresh: bool) -> str:
    """Render the page, which needs no network and no script.

    Args:
        content: what it says.
        run: folder with the pictures of the stages.
        curves: PNG.
        refresh: whether a browser shall load it again after some seconds.
    """
    pictures = {stage.name: _stage_pictures(run / stage.name) for stage in content.stages}
    return _template().render(
        content=content,
        curves=png_address(curves) if content.stages else "",
        pictures=pictures,
        refresh=REFRESH_SECONDS if refresh else 0,
        written=time.strftime("%Y-%m-%d %H:%M:%S"),
        duration=duration,
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    return page_template("monai_semgan.training.run_page", PAGE)


def _told(error: Exception) -> bool:
    """Whether the message of an error says all that there is to say."""
    return isinstance(error, (SemganError, OSError))


def _stage_pictures(folder: Path) -> dict[str, str]:
    """Addresses of the newest sheet and of the worst slices, as far as they are there."""
    newest = max(folder.glob("sheets/step_*.png"), default=None)
    paths = {"sheet": newest, "worst": folder / WORST}
    found = {}
    for name, path in paths.items():
        if path is not None and path.is_file():
            found[name] = png_address(path.read_bytes())
    return found


def _png(rgb: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(buffer, format="PNG")
    return buffer.getvalue()
