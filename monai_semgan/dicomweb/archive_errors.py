"""Failures of an archive in words that a user can act upon."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from monai_semgan.errors import SemganError

DOWN = "start it, or check address and network"

UNTRUSTED = ("is not trusted", "give the certificate authority it was made by: --archive-ca FILE")
CERTIFICATE: dict[int, tuple[str, str]] = {
    9: ("is not valid yet", "check the clock of this computer"),
    10: ("has expired", "ask whoever runs it for a new one"),
    62: ("is for another name", "give the name in the certificate as host of the address"),
    64: ("is for another address", "give the name in the certificate as host of the address"),
}
"""Problem and remedy by OpenSSL's number; `UNTRUSTED` for any other."""

NO_RIGHT = (401, 403)
"""HTTP status of archives that do not let in who asks, until somebody mends the password or the right."""

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
        return refusal_error(host, reasons, status)
    passing = status in (429, 502, 503, 504)
    return ArchiveError(f"the archive {host} {known[0]}", remedy=known[1], status=status, passing=passing)


def refusal_error(host: str, reasons: Sequence[str], status: int) -> ArchiveError:
    """Return the error of an archive that does not store an object, with its reasons."""
    return ArchiveError(
        f"the archive {host} refused the object: {', '.join(reasons)}",
        remedy="ask whoever runs it to take such objects",
        status=status,
    )


def refusals(body: bytes) -> list[str]:
    """Return why objects were refused, by the answer of STOW-RS (PS3.18 10.5.3); empty if it does not say."""
    try:
        answer = json.loads(body)
        failed = answer["00081198"]["Value"]
        codes = [int(item["00081197"]["Value"][0]) for item in failed]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return []
    return list(dict.fromkeys(FAILURE_REASONS.get(code, f"reason {code:04X}") for code in codes))


def senseless(host: str) -> ArchiveError:
    """Return the error of an answer that makes no sense."""
    return ArchiveError(
        f"the archive {host} answers what is no DICOMweb", remedy="check the address: it ends at the root of DICOMweb"
    )


@contextmanager
def told_by(host: str) -> Iterator[None]:
    """Turn what HTTP raises within the block into an `ArchiveError`."""
    import requests  # noqa: PLC0415 - optional extra
    import urllib3  # noqa: PLC0415 - comes with it

    try:
        yield
    except requests.HTTPError as error:
        assert error.response is not None
        stored = error.response.request.method == "POST"  # only then the answer says why, and has been read
        body = error.response.content if stored else b""
        error.response.close()
        raise status_error(host, error.response.status_code, body) from error
    except (requests.exceptions.InvalidJSONError, requests.exceptions.ContentDecodingError) as error:
        raise senseless(host) from error
    except (OSError, urllib3.exceptions.HTTPError) as error:  # all that requests raises is an OSError
        raise _connection_error(host, error) from error


def _connection_error(host: str, error: Exception) -> ArchiveError:
    """Return the error of a question without an answer, or with half of one."""
    import requests  # noqa: PLC0415 - as above
    from urllib3 import exceptions  # noqa: PLC0415 - as above

    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            problem, remedy = CERTIFICATE.get(cause.verify_code, UNTRUSTED)
            return ArchiveError(f"the certificate of the archive {host} {problem}", remedy=remedy)
    words: list[tuple[tuple[type[BaseException], ...], str, str, bool]] = [
        ((ssl.SSLError, exceptions.SSLError), "does not speak HTTPS", "check whether it is http:// or https://", False),
        ((exceptions.ProxyError,), "is out of the proxy's reach", "check $HTTPS_PROXY and $NO_PROXY", True),
        ((requests.exceptions.TooManyRedirects,), "sends in circles", "check the address", False),
        ((exceptions.NewConnectionError,), "cannot be reached", DOWN, True),
        ((requests.Timeout, exceptions.TimeoutError, TimeoutError), "does not answer in time", DOWN, True),
        ((requests.exceptions.ChunkedEncodingError, exceptions.ProtocolError), "broke off in the middle", DOWN, True),
        ((requests.ConnectionError,), "cannot be reached", DOWN, True),
    ]
    for kinds, problem, remedy, passing in words:
        if any(isinstance(cause, kinds) for cause in causes):
            return ArchiveError(f"the archive {host} {problem}", remedy=remedy, passing=passing)
    what = type(error).__name__
    return ArchiveError(f"the archive {host} could not be asked ({what})", remedy="check the address")


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and what it was made of: requests and urllib3 wrap each other's in several ways."""
    found = [error]
    for one in found:
        inner = (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__)
        found += [more for more in inner if isinstance(more, BaseException) and more not in found]
    return found
