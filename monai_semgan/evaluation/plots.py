"""Box plots of a study."""

from __future__ import annotations

from pathlib import Path

from monai_semgan.errors import SemganError
from monai_semgan.evaluation.scores import Study
from monai_semgan.evaluation.tables import title, units, values
from monai_semgan.utils.files import written_aside

FEW = 6
"""So many organs fit into a small panel with their names."""

SHOWN = ("dice", "hd95", "assd", "error_percent")


def save_boxplot(study: Study, path: Path) -> Path:
    """One panel for every measure, one box for every organ, every patient a dot.

    Raises:
        SemganError: if matplotlib is not installed or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - optional extra
    except ImportError:
        remedy = "pip install 'monai-semgan[report]'"
        raise SemganError("the box plot needs matplotlib, which is not installed", remedy=remedy) from None
    organs = study.organs
    wide, high = max(3.2, 0.36 * len(organs)), 3.6 if len(organs) <= FEW else 5.0
    figure = Figure(figsize=(wide * len(SHOWN), high), layout="constrained")
    for axes, measure in zip(figure.subplots(1, len(SHOWN)), SHOWN, strict=True):
        data = [values(study, organ, measure) for organ in organs]
        axes.boxplot(data, showfliers=False, widths=0.6)
        for place, points in enumerate(data, start=1):
            axes.plot([place] * len(points), points, "o", markersize=3, alpha=0.6, color="tab:blue")
        axes.set_xticks(range(1, len(organs) + 1), organs, rotation=35 if len(organs) <= FEW else 60, ha="right")
        axes.set_title(title(measure, units(study)))
        axes.grid(axis="y", alpha=0.3)
    figure.axes[0].set_ylim(-0.02, 1.02)
    figure.suptitle(f"{len(study.scored)} patients")
    with written_aside(path) as aside:
        figure.savefig(aside, format="png", dpi=110)
    return path
