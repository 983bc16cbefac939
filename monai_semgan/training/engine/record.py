"""The JSON record beside each checkpoint: what was trained, on what, with what, and how well."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class DataRecord:
    """Which patients a model has seen; never paths, which tell where a hospital keeps its data.

    Args:
        labelled: patients whose labels were used.
        unlabelled: patients whose images alone were used.
        validation: patients of the validation score.
        slices: number of training slices.
        labelled_slices: number of training slices with a label.
    """

    labelled: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    validation: list[str] = field(default_factory=list)
    slices: int = 0
    labelled_slices: int = 0
