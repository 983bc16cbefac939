"""Unfinished uploads of all clients together: many of them, and those that nobody goes on with."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from monai_semgan.jobs.job_errors import QueueFull
from monai_semgan.jobs.storage.partial_uploads import ABANDONED_SECONDS, UNFINISHED_LIMIT, Arrival, PartialUploads


def test_uploads_that_were_left_lying_make_way_the_oldest_first_and_others_do_not(tmp_path: Path) -> None:
    uploads = PartialUploads(tmp_path)
    arrival = Arrival(suffix=".nii.gz", bytes=100)
    begun = [uploads.begin(arrival) for _ in range(UNFINISHED_LIMIT)]
    with pytest.raises(QueueFull, match="unfinished"):
        uploads.begin(arrival)
    assert set(uploads.names()) == {upload.name for upload in begun}, "somebody may be sending them"
    for upload, seconds in ((begun[3], 10.0), (begun[7], 20.0)):
        then = time.time() - ABANDONED_SECONDS - seconds
        os.utime(upload.path, (then, then))
    holder = begun[7].hold(0)
    new = uploads.begin(arrival)
    assert begun[3].name not in uploads.names() and not begun[3].path.exists()
    assert {new.name, begun[7].name} <= set(uploads.names()), "a part of the older one is coming"
    begun[7].release(holder)
    uploads.begin(arrival)
    assert begun[7].name not in uploads.names()
    with pytest.raises(QueueFull):
        uploads.begin(arrival)
