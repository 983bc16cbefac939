"""What each failure of an archive has to be: one line that a user can act upon, and no secret anywhere."""

from __future__ import annotations

import logging
import re
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from monai_semgan.dicomweb.archive_errors import ArchiveError
from tests.dicom_phantoms import PATIENT
from tests.dicomweb.odd_archive import OddArchive

USER, PASSWORD, TOKEN = "reader", "pass:wörd-of-a-test", "token-of-a-test"
SECRETS = (PATIENT, PATIENT.split("^")[0], "secret-id", PASSWORD, TOKEN, "cmVhZGVy")
"""Of the phantom's patient, and of who asks; `cmVhZGVy` begins the user and password in Base64."""


@contextmanager
def nothing_told(*secrets: str) -> Iterator[None]:
    """Fail if the block logs or warns of a secret, at whatever level."""
    told: list[str] = []
    handler = logging.Handler(logging.NOTSET)
    handler.emit = lambda record: told.append(handler.format(record))  # type: ignore[method-assign]
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    told += [str(one.message) for one in warned]
    assert not [line for line in told for secret in (*SECRETS, *secrets) if secret in line]


@contextmanager
def refused(archive: OddArchive, words: str, *, remedy: str = ".") -> Iterator[pytest.ExceptionInfo[ArchiveError]]:
    """Expect one line that names the archive, the problem and what to do, and nothing of the patient."""
    uids = {uid for one in archive.instances.values() for uid in (one.study, one.series, one.uid) if len(uid) > 8}
    with nothing_told(*uids), pytest.raises(ArchiveError, match=words) as caught:
        yield caught
    error = caught.value
    line = str(error)
    assert archive.netloc in line
    assert re.search(remedy, error.remedy), error.remedy
    assert line == f"{error.problem}; {error.remedy}" and "\n" not in line and "Traceback" not in line
    shown = line + repr(error) + "".join(traceback.format_exception_only(error))
    assert not [secret for secret in (*SECRETS, *uids) if secret in shown]
