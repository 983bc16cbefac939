"""`semgan info dicomweb:URL`: the CT and MR series of an archive."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from monai_semgan.cli.archive_options import use_access
from monai_semgan.cli.arguments import note, say
from monai_semgan.errors import SemganError
from monai_semgan.utils.json_text import json_text

if TYPE_CHECKING:
    from monai_semgan.dicomweb.archive_series import ArchiveSeries


def tell_archive(arguments: argparse.Namespace) -> int:
    """Print what there is: with `--json` the descriptions too, which rules of `semgan watch` look at.

    Raises:
        SemganError: the archive does not answer, or has nothing that fits.
    """
    from monai_semgan.dicomweb.archive import Archive

    use_access(arguments)
    archive = Archive(arguments.scan)
    wanted = arguments.series
    listed = [one for one in archive.list_series() if wanted is None or one.is_called(wanted)]
    if not listed:
        what = "has no CT or MR series there" if wanted is None else f"has no series {wanted} there"
        raise SemganError(f"the archive {archive.address.host} {what}", remedy="check address and UIDs")
    series = [(one, archive.may_be_volume(one)) for one in listed]
    if arguments.json:
        facts = [_facts(one, volume, str(one.address(archive.address))) for one, volume in series]
        say(json_text({"address": str(archive.address), "series": facts}, indent=2))
        return 0
    studies = dict.fromkeys(one.study for one, _ in series)
    for study in studies:
        say(f"study {study}")
        for one, volume in series:
            if one.study == study:
                say(f"  {one.line}{'' if volume else '; no volume'}")
    note("a study: add ?StudyInstanceUID=... to the address; one of its series: --series")
    return 0


def _facts(one: ArchiveSeries, volume: bool, address: str) -> dict[str, Any]:
    return {**dataclasses.asdict(one), "name": one.name, "volume": volume, "address": address}
