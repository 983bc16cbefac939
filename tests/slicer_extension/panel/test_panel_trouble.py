"""Bad input, as a user meets it: a message that says what to do, the panel usable afterwards, nothing lost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from SemGANLib.Server.Nrrd import Grid

from tests.slicer_extension.panel.bench import SECONDS, Bench
from tests.slicer_extension.panel.qt_actions import click, settle, shown, wait_until
from tests.slicer_extension.scans import add_volume

Trouble = Callable[[Bench], None]
"""Makes something go wrong."""


def no_server(bench: Bench) -> None:
    bench.connect("http://127.0.0.1:1")


def wrong_address(bench: Bench) -> None:
    bench.connect("my server")


def another_kind_of_server(bench: Bench) -> None:
    bench.server.check, bench.server.health = False, {"product": "something else"}
    bench.connect()
    bench.server.health = {}


def wrong_key(bench: Bench) -> None:
    bench.server.key = "right"
    bench.connect(key="wrong")
    bench.server.key = ""


def older_server(bench: Bench) -> None:
    bench.server.check, bench.server.health = False, {"api": "0.9"}
    bench.connect()
    bench.server.health = {}


def time_out(bench: Bench) -> None:
    bench.server.deaf = 3 * SECONDS
    bench.connect()
    bench.server.deaf = 0.0


def server_dies(bench: Bench) -> None:
    bench.server.hold = True
    bench.connect()
    bench.refine()
    wait_until(lambda: bench.logic.outcome(bench.volume) is not None)
    bench.server.die()
    wait_until(lambda: bench.logic.run(bench.volume).phase == "lost")
    settle()


def job_fails(bench: Bench) -> None:
    bench.server.fail = "The device has no memory left; use fewer slices."
    bench.connect()
    bench.preview()
    bench.server.fail = ""


def no_connection(bench: Bench) -> None:
    click(bench.ui.previewButton)


def no_volume(bench: Bench) -> None:
    bench.connect()
    bench.ui.inputSelector.setCurrentNode(None)
    click(bench.ui.previewButton)


def two_slices(bench: Bench) -> None:
    bench.connect()
    thin = add_volume(bench.scene, np.zeros((2, 28, 40), np.int16), np.diag([8.0, 8.0, 12.0, 1.0]), "thin")
    bench.ui.inputSelector.setCurrentNode(thin)
    click(bench.ui.previewButton)


def another_grid(bench: Bench) -> None:
    bench.server.grid_of = lambda grid: Grid(grid.array, np.diag([1.0, 1.0, 1.0, 1.0]))
    bench.connect()
    bench.preview()
    bench.server.grid_of = lambda grid: grid


def scene_closed(bench: Bench) -> None:
    bench.server.hold = True
    bench.connect()
    bench.refine()
    wait_until(lambda: bench.logic.outcome(bench.volume) is not None)
    bench.scene.Clear(0)
    settle()
    bench.server.hold = False


ROWS: list[tuple[Trouble, tuple[str, ...]]] = [
    (no_server, ("127.0.0.1:1", "Start it")),
    (wrong_address, ("address",)),
    (another_kind_of_server, ("SemGAN server",)),
    (wrong_key, ("key",)),
    (older_server, ("0.9", "pdate")),
    (time_out, ("answer",)),
    (server_dies, ("answer",)),
    (job_fails, ("no memory left",)),
    (no_connection, ("Connect to a server",)),
    (no_volume, ("No volume is chosen",)),
    (two_slices, ("slices",)),
    (another_grid, ("grid",)),
    (scene_closed, ()),
]


@pytest.mark.parametrize(("trouble", "words"), ROWS, ids=[trouble.__name__ for trouble, _ in ROWS])
def test_bad_input_is_explained_and_the_panel_can_be_used_afterwards(
    bench: Bench, trouble: Trouble, words: tuple[str, ...]
) -> None:
    voxels = bench.volume.GetImageData().GetPointData().GetScalars()
    mine = bench.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn by hand")
    mine.GetSegmentation().AddEmptySegment("tumour")
    trouble(bench)
    for word in words:
        assert word in bench.says(), bench.says()
    assert "Traceback" not in bench.says() and "Error" not in bench.says()
    if trouble is scene_closed:
        assert bench.ui.outcomeLabel.text == "No result yet." and not shown(bench.ui.progressBar)
        bench.add_volume()
    else:
        assert mine.GetSegmentation().GetNumberOfSegments() == 1
        assert bench.volume.GetImageData().GetPointData().GetScalars() is voxels
        bench.ui.inputSelector.setCurrentNode(bench.volume)
    if trouble is server_dies:
        assert bench.ui.volumesTable.rowCount == 3  # what had come is still there
        click(bench.ui.cancelButton)
        bench.wait()
        bench.server.hold = False
        bench.server.listen(bench.server.port)
    bench.connect()
    bench.preview()
    assert bench.logic.run(bench.volume).phase == "done", bench.says()
    assert bench.ui.volumesTable.rowCount == 3 and bench.ui.previewButton.enabled
