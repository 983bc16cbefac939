"""An archive that speaks DICOMweb: QIDO-RS lists, WADO-RS fetches, STOW-RS stores (PS3.18)."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from monai_semgan.dicomweb.archive_access import ArchiveAccess, read_access
from monai_semgan.dicomweb.archive_address import ArchiveAddress, is_uid
from monai_semgan.dicomweb.archive_errors import ArchiveError, refusal_error, refusals, senseless, told_by
from monai_semgan.dicomweb.archive_series import FIELDS, TAGS, ArchiveSeries, parse_series, text_of
from monai_semgan.dicomweb.archive_session import TIMEOUT_SECONDS, check_host, make_session
from monai_semgan.dicomweb.received_instance import is_whole
from monai_semgan.errors import SemganError, read_error
from monai_semgan.io.dicom.headers import quiet
from monai_semgan.utils.loggers import silenced

if TYPE_CHECKING:
    from pydicom import Dataset

VOLUMES = ("CT", "MR")
"""Modalities of series that are listed where nothing else is asked for."""

PAGE = 1000
"""Entries asked for at once; an archive may send fewer."""

MAX_ENTRIES = 100_000
FEW = 3
"""Fewer images are no volume: overviews and dose reports."""

TALKATIVE = ("dicomweb_client", "retrying", "urllib3")
"""Loggers that tell UIDs, questions and tracebacks."""

PLACE = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")

AS_STORED = (("application/dicom", "*"),)
"""Media type and transfer syntax: whatever the archive has, compressed or not."""


class Archive:
    """A connection to an archive; one for each thread.

    Args:
        address: of it; what it asks for goes for every listing.
        access: user, token and certificate; from the environment when left out.
        timeout: seconds to connect, and between two pieces of an answer.

    Raises:
        SemganError: dicomweb-client is missing, or the address is one where no archive is.
    """

    def __init__(
        self,
        address: ArchiveAddress,
        access: ArchiveAccess | None = None,
        timeout: tuple[float, float] = TIMEOUT_SECONDS,
    ) -> None:
        self.address = address
        session = make_session(address, access if access is not None else read_access())
        check_host(urlsplit(address.url).hostname or "")
        import dicomweb_client  # noqa: PLC0415 - optional extra, with requests

        try:
            self._client: Any = dicomweb_client.DICOMwebClient(
                address.url, session=session, permissive_uid=True, timeout=timeout
            )
        except ValueError as error:
            raise SemganError(f"{address.url} cannot be asked", remedy="give host and root of DICOMweb") from error
        self._client.set_http_retry_params(retry=False)  # it would keep users waiting for a minute

    def list_series(self, modalities: Sequence[str] = VOLUMES) -> list[ArchiveSeries]:
        """List the series that the address asks for, in the order of their UIDs.

        Args:
            modalities: asked for where the address does not ask for one or for a certain series; all when empty.

        Raises:
            ArchiveError: there is no answer, or none that makes sense.
        """
        wanted = dict(self.address.wanted)
        study = wanted.pop("StudyInstanceUID", None)
        asked = [wanted]
        if modalities and not {"Modality", "SeriesInstanceUID"} & set(wanted):
            asked = [{**wanted, "Modality": modality} for modality in modalities]
        found = {}
        search = self._client.search_for_series
        for filters in asked:
            for answer in self._all(search, "series", study, fields=FIELDS, search_filters=filters):
                series = parse_series(answer, self.address)
                if series is not None:
                    found[series.study, series.series] = series
        return [found[key] for key in sorted(found)]

    def list_instances(self, series: ArchiveSeries) -> list[str]:
        """Return the UIDs of the instances of a series, in their order.

        Raises:
            ArchiveError: there is no answer, or none that makes sense, or not all are listed.
        """
        answers = self._all(self._client.search_for_instances, "instance", series.study, series.series)
        uids = {text_of(answer, "instance") for answer in answers}
        if not all(map(is_uid, uids)):
            raise ArchiveError(
                f"the archive {self.address.host} lists instances without UIDs", remedy="ask whoever runs it"
            )
        if len(uids) < (series.images or 0) and len(uids) < (count := self._count(series)):
            raise ArchiveError(
                f"the archive {self.address.host} lists {len(uids)} of {count} images of the series",
                remedy="ask whoever runs it to list more at once, or to heed offset",
            )
        return sorted(uids)

    def _count(self, series: ArchiveSeries) -> int:
        """Ask how many instances a series has by now: some may have been removed since it was listed."""
        wanted = {"SeriesInstanceUID": series.series}
        search = self._client.search_for_series
        answers = self._asked(search, "series", series.study, fields=FIELDS, search_filters=wanted)
        found = [parse_series(answer, self.address) for answer in answers]
        return sum(one.images or 0 for one in found if one is not None and one.series == series.series)

    def may_be_volume(self, series: ArchiveSeries) -> bool:
        """Tell whether a series may be a volume: of a few instances, one has to hold several frames.

        Raises:
            ArchiveError: there is no answer.
        """
        if series.images is None or series.images >= FEW:
            return True
        search = self._client.search_for_instances
        answers = self._asked(search, "instance", series.study, series.series, fields=("NumberOfFrames",))
        frames = [text_of(answer, "frames") for answer in answers]
        return any(text.isdecimal() and int(text) >= FEW for text in frames)

    def has_instance(self, study: str, series: str, instance: str) -> bool:
        """Tell whether an instance is stored.

        Raises:
            ArchiveError: there is no answer.
        """
        search = self._client.search_for_instances
        try:
            answers = self._asked(search, "instance", study, series, search_filters={"SOPInstanceUID": instance})
        except ArchiveError as error:
            if error.status == 404:  # some answer so for a study or series that they do not know
                return False
            raise
        return any(text_of(answer, "instance") == instance for answer in answers)

    def iter_series(self, series: ArchiveSeries) -> Generator[Dataset, None, None]:
        """Fetch the instances of a series one after the other, as they are stored.

        Raises:
            ArchiveError: the archive does not send them, or stops in the middle.
        """
        with self._telling():
            coming = self._client.iter_series(series.study, series.series, media_types=AS_STORED)
        try:
            while True:
                with self._telling():
                    dataset = next(coming, None)
                if dataset is None:
                    return
                yield dataset
        finally:
            with suppress(AttributeError):  # of an answer that holds one instance by itself
                coming.close()

    def fetch_instance(self, series: ArchiveSeries, instance: str) -> Dataset:
        """Fetch one instance.

        Raises:
            ArchiveError: the archive does not send it.
        """
        with self._telling():
            place = (series.study, series.series, instance)
            return self._client.retrieve_instance(*place, media_types=AS_STORED)

    def store(self, file: Path) -> bool:
        """Store an object, unless the archive has it already.

        An answer that got lost does no harm: asked again, the archive has the object, which is not sent twice.

        Returns:
            Whether it was sent; False if the archive has it already.

        Raises:
            ArchiveError: the archive cannot be reached, or refuses it.
            SemganError: the file is no DICOM.
        """
        import pydicom  # noqa: PLC0415 - only here

        try:
            with quiet():
                dataset = pydicom.dcmread(file)
                place = [str(dataset[name].value) for name in PLACE]
        except OSError as error:
            raise read_error(error, file) from error
        except (pydicom.errors.InvalidDicomError, KeyError, EOFError, ValueError) as error:
            raise SemganError("is no DICOM object", remedy="send what semgan has written", path=file) from error
        if not all(map(is_uid, place)):
            raise SemganError("has no UIDs", remedy="send what semgan has written", path=file)
        if not is_whole(dataset):
            raise SemganError("is cut off", remedy="write it again", path=file)
        if self.has_instance(*place):
            return False
        with self._telling():
            answer = self._client.store_instances([dataset])
        reasons = refusals(answer.to_json().encode()) if answer is not None else []
        if reasons:
            raise refusal_error(self.address.host, reasons, status=200)
        if not self.has_instance(*place):
            raise ArchiveError(
                f"the archive {self.address.host} took the object and does not list it",
                remedy="ask whoever runs it whether results are filed by hand",
            )
        return True

    def _all(self, ask: Any, level: str, *place: Any, **options: Any) -> list[Mapping[str, Any]]:
        """Ask for one page after the other until nothing new comes: archives limit what they send at once."""
        found: dict[str, Mapping[str, Any]] = {}
        while len(found) < MAX_ENTRIES:
            page = self._asked(ask, level, *place, limit=PAGE, offset=len(found), **options)
            new = {f"{text_of(one, 'series')} {text_of(one, 'instance')}": one for one in page}
            if new.keys() <= found.keys():
                return list(found.values())
            found.update(new)
        raise ArchiveError(
            f"the archive {self.address.host} lists more than {MAX_ENTRIES} entries",
            remedy="ask for less, such as one study: add ?StudyInstanceUID=... to the address",
        )

    def _asked(self, ask: Any, level: str, *place: Any, **options: Any) -> list[Mapping[str, Any]]:
        """Ask for what is on a level, `series` or `instance`: each has its UID there."""
        with self._telling():
            answer = ask(*place, **options)
        if not isinstance(answer, list) or not all(isinstance(one, dict) and TAGS[level] in one for one in answer):
            raise senseless(self.address.host)
        return answer

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn what may go wrong into an `ArchiveError`; logs of client and HTTP would hold UIDs and questions."""
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - optional extra

        with ExitStack() as stack:
            stack.enter_context(told_by(self.address.host))
            for name in TALKATIVE:
                stack.enter_context(silenced(name))
            stack.enter_context(quiet())
            try:
                yield
            except (SemganError, OSError, MemoryError, HTTPError):
                raise
            except Exception as error:  # whatever a damaged answer makes client and pydicom raise
                raise senseless(self.address.host) from error
