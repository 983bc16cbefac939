"""What `reproduce.json` holds: how far everything is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from monai_semgan.errors import SemganError

from .json_files import read_json, write_json
from .training_plan import Training


@dataclass
class State:
    """What `reproduce.json` holds.

    Attributes:
        path: of the file.
        content: of the file.
    """

    path: Path
    content: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, out: Path, plan: Sequence[Training], patients: str) -> State:
        """The state of an earlier call, or a new one.

        Raises:
            SemganError: if that was begun otherwise.
        """
        state = cls(out / "reproduce.json")
        if state.path.exists():
            state.content = read_json(state.path)
        asked = {"plan": json.loads(json.dumps([asdict(training) for training in plan])), "patients": patients}
        for name, value in asked.items():
            if state.content.setdefault(name, value) != value:
                other = "other patients" if name == "patients" else "another record or other settings"
                raise SemganError(f"was begun with {other}", remedy="choose another --out", path=out)
        return state

    def update(self, **values: Any) -> None:
        """Keep values, on disk too."""
        self.content |= values
        write_json(self.path, self.content)
