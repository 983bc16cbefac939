"""The HTTP session of an archive: it talks to the archive and to nobody else."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from monai_semgan.dicomweb.archive_access import ArchiveAccess
from monai_semgan.dicomweb.archive_address import ArchiveAddress
from monai_semgan.dicomweb.archive_errors import ArchiveError, status_error
from monai_semgan.dicomweb.multipart_ending import check_ending
from monai_semgan.errors import SemganError
from monai_semgan.utils.hosts import is_loopback

if TYPE_CHECKING:
    import requests

TIMEOUT_SECONDS = (5.0, 30.0)
"""To connect, and between two pieces of an answer."""

JSON = "application/dicom+json"

METADATA_NAMES = ("metadata", "metadata.google.internal", "instance-data")
METADATA_ADDRESSES = ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")
"""Where clouds give secrets to whoever asks from inside; most use the link-local 169.254.169.254."""


def make_session(address: ArchiveAddress, access: ArchiveAccess) -> requests.Session:
    """Return a session that sends name and password, or token, and goes nowhere else.

    Raises:
        SemganError: requests is missing, or the address is one where clouds keep secrets.
    """
    try:
        import requests  # noqa: PLC0415 - optional extra
    except ImportError:
        raise SemganError("archives need dicomweb-client", remedy="run pip install 'monai-semgan[dicomweb]'") from None

    class ArchiveSession(requests.Session):
        """Refuses redirects to other hosts, which would get name, password and questions."""

        def request(self, method: Any, url: Any, **options: Any) -> requests.Response:  # type: ignore[override]
            check_host(urlsplit(str(url)).hostname or "")
            headers = dict(options.pop("headers", None) or {})
            headers.pop("Host", None)  # requests knows it, with its port
            if method == "POST":
                headers.setdefault("Accept", JSON)  # some tell in XML else why they refuse an object
            answer = super().request(method, url, headers=headers, **options)
            if 300 <= answer.status_code < 400:  # without the address, which requests would have followed
                raise status_error(address.host, answer.status_code)
            kind, _, _ = answer.headers.get("Content-Type", "").partition(";")
            if "json" in kind:
                answer.headers["Content-Type"] = kind.strip()  # the client knows it without parameters only
            check_ending(answer, bool(options.get("stream")))
            return answer

        def get_redirect_target(self, resp: requests.Response) -> str | None:
            target = super().get_redirect_target(resp)
            if target is None:
                return None
            there = urljoin(resp.url, target)
            if origin(there) != origin(resp.url):
                _, host, port = origin(there)
                raise ArchiveError(
                    f"the archive {address.host} sends to another server, {host}:{port}",
                    remedy="give that address if it is the archive",
                    status=resp.status_code,
                )
            if resp.request.method != "GET":
                raise ArchiveError(
                    f"the archive {address.host} wants objects at another address",
                    remedy="give the address that it is reached by without being sent on",
                    status=resp.status_code,
                )
            return target

    session = ArchiveSession()
    session.max_redirects = 5
    session.trust_env = False  # ~/.netrc and $REQUESTS_CA_BUNDLE would come before what was told
    if not is_loopback((urlsplit(address.url).hostname or "").rstrip(".")):  # which no proxy can reach
        session.proxies.update(requests.utils.get_environ_proxies(address.url))
    if access.authority is not None:
        session.verify = str(access.authority)
    if access.user is not None:
        session.auth = requests.auth.HTTPBasicAuth(access.user.encode(), (access.password or "").encode())
    elif access.token is not None:
        session.auth = _Bearer(access.token)
    return session


class _Bearer:
    """Sends a token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or (443 if scheme == "https" else 80)


def check_host(host: str) -> None:
    """Refuse hosts where clouds keep secrets of the machine, by whatever name.

    Raises:
        ArchiveError: it is one.
    """
    addresses = {host}
    with contextlib.suppress(OSError, UnicodeError):  # of what has no address, nothing can be asked either
        addresses |= {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    if host.lower().rstrip(".") in METADATA_NAMES or any(map(_is_metadata, addresses)):
        raise ArchiveError(
            f"{host} is an address of this machine's own network or cloud, where no archive is",
            remedy="give the address of the archive",
        )


def _is_metadata(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_link_local or str(mapped) in METADATA_ADDRESSES or mapped.is_multicast or mapped.is_unspecified
