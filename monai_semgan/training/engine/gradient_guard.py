"""Steps on gradients that are no numbers are skipped; a training that has no others stops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

MOST_IN_A_ROW = 10
"""Skipped steps after which a training is given up: a rare overflow passes, broken weights do not."""

READ_EVERY = 16
"""Steps between two looks at the counters on a GPU: each look waits for it."""


class GradientGuard:
    """Let optimisers step where the gradients are finite, and count where they are not.

    One infinite gradient is enough to ruin a network: clipping divides by the norm, and infinity by infinity is no
    number. On a GPU the fused optimisers skip such a step by themselves, as they do for `torch.amp.GradScaler`, so that
    nothing waits for the device.
    """

    def __init__(self) -> None:
        self._row: dict[str, torch.Tensor] = {}
        self._total: dict[str, torch.Tensor] = {}
        self._before = 0
        self._looks = 0

    @property
    def skipped(self) -> int:
        """Steps of optimisers that were skipped, those before a resume included."""
        return self._before + sum(int(total) for total in self._total.values())

    def load(self, skipped: int) -> None:
        """Go on counting from those of an earlier process."""
        self._before = skipped
        self._total.clear()

    def step(
        self, optimisers: Mapping[str, torch.optim.Optimizer], parameters: Sequence[nn.Parameter], max_norm: float
    ) -> None:
        """Clip the gradients together and let the optimisers step, all or none.

        Args:
            optimisers: by the name of their networks.
            parameters: those with gradients.
            max_norm: of all gradients together; infinite to leave them as they are.
        """
        norm = nn.utils.clip_grad_norm_(parameters, max_norm)
        broken = ~torch.isfinite(norm)
        for name, optimiser in optimisers.items():
            self._count(name, broken)
            if _skips_by_itself(optimiser):
                optimiser.grad_scale, optimiser.found_inf = None, broken.float()  # type: ignore[attr-defined]
                optimiser.step()
            elif not bool(broken):
                optimiser.step()

    def broken(self) -> str:
        """Name the network whose gradients have been no numbers for many steps in a row; empty if there is none.

        Called after every step; on a GPU it looks now and then.
        """
        self._looks += 1
        if self._looks % READ_EVERY and any(row.is_cuda for row in self._row.values()):
            return ""
        return next((name for name, row in self._row.items() if int(row) >= MOST_IN_A_ROW), "")

    def _count(self, name: str, broken: torch.Tensor) -> None:
        zero = torch.zeros((), dtype=torch.int64, device=broken.device)
        self._row[name] = torch.where(broken, self._row.get(name, zero) + 1, zero)
        self._total[name] = self._total.get(name, zero) + broken


def _skips_by_itself(optimiser: torch.optim.Optimizer) -> bool:
    return all(group.get("fused") for group in optimiser.param_groups)
