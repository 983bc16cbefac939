"""What corrections need of the rest of the module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner
from .Runs import Runs


@dataclass(frozen=True)
class Surroundings:
    """What a session of corrections needs of the rest of the module.

    Attributes:
        runner: runs work in threads.
        runs: know what servers have of the volumes.
        client: finds the server that is connected, or None.
        compressed: whether what is sent is compressed: for a network.
        may_send: asks whether the scan may leave this computer, where it has to be sent once more.
        changed: called when anything that the panel shows has changed.
        corrected: called when the segmentation has changed.
        tell: called with level and text.
    """

    runner: Runner
    runs: Runs
    client: Callable[[], Client | None]
    compressed: Callable[[], bool]
    may_send: Callable[[], bool]
    changed: Callable[[], None]
    corrected: Callable[[], None]
    tell: Callable[[str, str], None]
