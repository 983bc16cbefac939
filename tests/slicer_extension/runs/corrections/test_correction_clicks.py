"""Whatever a reader clicks, in whatever order: scene, list and server agree in the end."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.slicer_extension.nodes import expected
from tests.slicer_extension.runs.corrections.correction_reader import NEAR

CLICKS = ["stroke"] * 3 + ["wait"] * 2 + ["undo", "redo", "revert", "cancel", "break"]


@pytest.mark.parametrize("joins", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_order_of_clicks_scene_list_and_server_agree_in_the_end(reader, server, seed, joins):
    random = np.random.default_rng(seed)
    server.joins = joins
    for _ in range(25):
        click = random.choice(CLICKS)
        if click == "stroke":
            names = ("liver", "right kidney", "spleen", "")
            reader.stroke(str(random.choice(names)), k=int(random.integers(16)), j=int(random.integers(28)))
            reader.logic.send_edits(None, NEAR)
        elif click == "break":
            server.drop = 1
        elif click == "revert":
            reader.logic.revert_to(int(random.choice([row.number for row in reader.logic.history()])))
        elif click == "wait":
            for _turn in range(int(random.integers(1, 40))):
                reader.session.pump()
                time.sleep(0.001)
        else:
            getattr(reader.logic, click)()
    reader.settle()
    if reader.logic.send_edits(None, NEAR):  # strokes that were taken back from the server and stayed
        reader.settle()
    assert not reader.logic.send_edits(), "nothing is left to be sent"
    reader.stroke("" if (reader.label[2, 2, 4:30] == 4).all() else "spleen", k=2, j=2)
    reader.send()
    last = server.asked_corrections[-1]["job"]
    np.testing.assert_array_equal(reader.label, server.labels_of[last])
    labels = [reader.label]
    while reader.logic.state.can_undo:
        reader.logic.undo()
        labels.append(reader.label)
    np.testing.assert_array_equal(labels[-1], expected(reader.volume))
    for label in labels[-2::-1]:
        reader.logic.redo()
        np.testing.assert_array_equal(reader.label, label)
    assert not [message for message in reader.session.messages if message.level == "error"]
