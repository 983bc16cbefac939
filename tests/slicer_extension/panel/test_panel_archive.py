"""Labels that the archive behind the server does not have, in the panel: told, and sent again by a click."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from SemGANLib.Types.ArchiveTypes import ArchivedLabel

from tests.slicer_extension.datastore.archive_server import HOST, ArchiveServer
from tests.slicer_extension.panel.bench import Bench
from tests.slicer_extension.panel.fake_logic import FakeLogic
from tests.slicer_extension.panel.qt_actions import click, settle, shown, type_into, unfold, wait_until
from tests.slicer_extension.panel.states import submit
from tests.slicer_extension.panel.test_panel_pictures import WIDTH, cut, fit, folder, small

__all__ = ["folder"]

DOWN = "the archive at http://pacs.hospital.example:8042/dicom-web does not answer; start it, or look at the network"
KEPT = ArchivedLabel("ct_4_7420e658ac", "final", "waiting", DOWN)


def test_nothing_is_shown_where_the_archive_has_all(panel: SimpleNamespace) -> None:
    unfold(panel.ui.submitSection)
    assert not shown(panel.ui.archiveFrame)


def test_what_is_lacking_is_told_and_a_click_sends_it_again(panel: SimpleNamespace, logic: FakeLogic) -> None:
    ui = panel.ui
    unfold(ui.submitSection)
    logic.archiving.lacks(KEPT, ArchivedLabel("mr_2_0123456789", "final", "refused", "no room"))
    assert shown(ui.archiveFrame)
    said = ui.archiveLabel.text.replace("\u200b", "")
    assert said.startswith(f"The archive {HOST} does not have the final label of “ct_4_7420e658ac” and 1 more: the")
    click(ui.sendAgainButton)
    assert logic.asked == [("send_again",)]
    logic.archiving.lacks(KEPT, sending=True)
    assert not ui.sendAgainButton.enabled and ui.sendAgainButton.text == "Sending"
    logic.archiving.lacks(KEPT)
    assert ui.sendAgainButton.enabled and ui.sendAgainButton.text == "Send again"
    logic.archiving.lacks()
    assert not shown(ui.archiveFrame)


@pytest.mark.parametrize("reason", [DOWN, "1.2.840.113619.2.55.3.604688119.969.1268071029.320." * 4])
def test_all_that_is_said_can_be_read(
    panel: SimpleNamespace, logic: FakeLogic, volume: Any, folder: Path, reason: str
) -> None:
    submit(panel.ui, logic, volume)
    logic.archiving.lacks(ArchivedLabel("ct_4_7420e658ac", "final", "refused", reason))
    fit(panel)
    assert cut(panel) == [] and panel.widget.minimumSizeHint().width() <= WIDTH
    path = folder / "archive.png"
    assert shown(panel.ui.sendAgainButton) and small(panel.widget.grab()).save(str(path))


@pytest.fixture
def at_an_archive(scene: Any) -> Iterator[Bench]:
    """A user at the panel with everything real but Slicer, connected to the server of an archive."""
    with ArchiveServer() as server:
        bench = Bench(scene, server)
        bench.connect()
        yield bench
        bench.close()
    assert not server.errors


def test_a_label_is_submitted_kept_and_sent_again_by_clicks(at_an_archive: Bench) -> None:
    bench, ui, server = at_an_archive, at_an_archive.ui, at_an_archive.server
    bench.preview()
    unfold(ui.submitSection)
    type_into(ui.userEdit, "A. Reader")
    server.waits = DOWN
    click(ui.submitButton)
    wait_until(lambda: shown(ui.archiveFrame))
    assert "server keeps it" in bench.says() and "Send again" in bench.says() and not server.archive
    click(ui.sendAgainButton)
    wait_until(lambda: "does not have the final label" in bench.says())
    assert shown(ui.archiveFrame) and ui.sendAgainButton.enabled
    server.waits = ""
    click(ui.sendAgainButton)
    wait_until(lambda: not shown(ui.archiveFrame))
    settle()
    assert f"is in the archive {HOST} now" in bench.says().replace("\u200b", "") and len(server.archive) == 1
