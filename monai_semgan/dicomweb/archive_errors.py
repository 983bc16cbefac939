"""Failures of an archive in words that a user can act upon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from monai_semgan.errors import SemganError

DOWN = "start it, or check address and network"

STATUS: dict[int, tuple[str, str]] = {
    400: ("does not understand the question (400)", "check the address: it ends at the root of DICOMweb"),
    401: ("wants to know who asks (401)", "give --archive-user with --archive-password-file, or --archive-token-file"),
    403: ("does not allow that (403)", "ask whoever runs it for the right"),
    404: ("knows nothing of that kind (404)", "check the address: it ends at the root of DICOMweb, or at a study"),
    405: ("does not offer that (405)", "check the address: it ends at the root of DICOMweb"),
    406: ("cannot send what was asked for (406)", "ask whoever runs it for WADO-RS with application/dicom"),
    413: ("takes nothing so large (413)", "ask whoever runs it for a higher limit"),
    415: ("does not take application/dicom (415)", "ask whoever runs it for STOW-RS"),
    429: ("is asked too often (429)", "try again later"),
    503: ("is busy (503)", "try again later"),
}
"""Problem and remedy by HTTP status."""

FAILURE_REASONS = {
    0x0110: "processing failed",
    0x0122: "it does not store this kind of object",
    0x0124: "it is not allowed",
    0xA700: "it has no room",
    0xA710: "it has no room",
    0xA900: "the object does not fit its kind",
    0xC000: "it does not understand the object",
    0xC122: "it does not take this transfer syntax",
}
"""PS3.4 table B.2-1 and PS3.18 table I.2-2."""


class ArchiveError(SemganError):
    """Report that an archive could not be reached, refused, or answered what makes no sense.

    Args:
        problem: what is wrong, without a full stop.
        remedy: what the user can do about it.
        status: of HTTP, where there was an answer.
        passing: whether the same question may be answered a little later.
    """

    def __init__(self, problem: str, *, remedy: str = "", status: int | None = None, passing: bool = False) -> None:
        super().__init__(problem, remedy=remedy)
        self.status, self.passing = status, passing


def status_error(host: str, status: int, body: bytes = b"") -> ArchiveError:
    """Return the error of an answer with a status of failure.

    Args:
        host: of the archive.
        status: of HTTP.
        body: the answer, which may tell in JSON why an object was refused.
    """
    known = STATUS.get(status) or (f"failed ({status})", "look into its log, or try again later")
    reasons = refusals(body)
    if reasons:
        return ArchiveError(f"the archive {host} refused the object: {', '.join(reasons)}", status=status)
    passing = status in (429, 502, 503, 504)
    return ArchiveError(f"the archive {host} {known[0]}", remedy=known[1], status=status, passing=passing)


def refusals(body: bytes) -> list[str]:
    """Return why objects were refused, by the answer of STOW-RS (PS3.18 10.5.3); empty if it does not say."""
    try:
        answer = json.loads(body)
        failed = answer["00081198"]["Value"]
        codes = [int(item["00081197"]["Value"][0]) for item in failed]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return []
    return list(dict.fromkeys(FAILURE_REASONS.get(code, f"reason {code:04X}") for code in codes))


@contextmanager
def told_by(host: str) -> Iterator[None]:
    """Turn what HTTP raises within the block into an `ArchiveError`."""
    import requests  # noqa: PLC0415 - optional extra
    import urllib3  # noqa: PLC0415 - comes with it

    try:
        yield
    except requests.HTTPError as error:
        assert error.response is not None
        raise status_error(host, error.response.status_code, error.response.content) from error
    except requests.exceptions.SSLError as error:
        raise ArchiveError(
            f"the certificate of the archive {host} is not trusted",
            remedy="give the certificate authority it was made by: --archive-ca FILE",
        ) from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise ArchiveError(f"the archive {host} does not answer in time", remedy=DOWN, passing=True) from error
    except requests.exceptions.TooManyRedirects as error:
        raise ArchiveError(f"the archive {host} sends in circles", remedy="check the address") from error
    except (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError) as error:
        raise ArchiveError(f"the archive {host} broke off in the middle", remedy=DOWN, passing=True) from error
    except requests.ConnectionError as error:
        raise ArchiveError(f"the archive {host} cannot be reached", remedy=DOWN, passing=True) from error
    except requests.RequestException as error:
        what = type(error).__name__
        raise ArchiveError(f"the archive {host} could not be asked ({what})", remedy="check the address") from error
