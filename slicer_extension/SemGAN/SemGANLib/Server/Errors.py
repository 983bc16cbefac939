"""What can go wrong between here and the server. Every text says what happened and what to do."""

from __future__ import annotations

from ..Translation import tr as _


class ServerError(Exception):
    """Base of all; `str` of it is for the user.

    Attributes:
        passing: worth another try in a moment: the job at the server is not harmed by it.
        undecided: the server may have done what was asked all the same.
    """

    passing = False
    undecided = False


class WrongAddress(ServerError):
    """What was typed is no address, or what answers there is no web server of ours."""


class NoServer(ServerError):
    """Nobody listens there."""

    passing = True


class ConnectionLost(ServerError):
    """The connection broke before the answer was complete."""

    passing = True
    undecided = True


class TimedOut(ServerError):
    """No answer within the time."""

    passing = True
    undecided = True


class NotTrusted(ServerError):
    """The certificate of an https server is not accepted."""


class OtherServer(ServerError):
    """A server, but not ours."""

    undecided = True


class WrongKey(ServerError):
    """The API key is missing or wrong."""


class WrongVersion(ServerError):
    """Our server, but it speaks another version of the job API."""

    undecided = True


class Gone(ServerError):
    """The job, upload or image is unknown to the server, or has expired."""


class Refused(ServerError):
    """The server does not accept what was asked."""


class Busy(ServerError):
    """The server takes no more work at the moment."""

    passing = True


class ServerFault(ServerError):
    """Something went wrong inside the server."""

    undecided = True


def no_server(address: str) -> NoServer:
    """Say that nobody listens there."""
    return NoServer(
        _("No server answers at {address}. Start it there (semgan serve), or correct the address.").format(
            address=address
        )
    )


def connection_lost(address: str) -> ConnectionLost:
    """Say that the connection broke."""
    return ConnectionLost(
        _("The connection to {address} broke. Check that the server still runs, then try again.").format(
            address=address
        )
    )


def timed_out(address: str, seconds: float) -> TimedOut:
    """Say that no answer came in time."""
    return TimedOut(
        _("{address} did not answer within {seconds:.0f} s. Check the network and the server, then try again.").format(
            address=address, seconds=seconds
        )
    )


def not_trusted(address: str, reason: str) -> NotTrusted:
    """Say that the certificate is not accepted."""
    return NotTrusted(
        _(
            "The certificate of {address} is not trusted ({reason}). Ask whoever runs the server for its certificate"
            " and name the file in the environment variable SSL_CERT_FILE before Slicer starts."
        ).format(address=address, reason=reason)
    )


def other_server(address: str) -> OtherServer:
    """Say that another kind of server answers."""
    return OtherServer(
        _("{address} answers, but is not a SemGAN server. Check address and port (semgan serve shows both).").format(
            address=address
        )
    )


def unreadable(address: str, reason: str) -> WrongVersion:
    """Say that an answer of our server lacks what it must have."""
    return WrongVersion(
        _("The answer of {address} cannot be read ({reason}). Update the server and this extension.").format(
            address=address, reason=reason
        )
    )


def moved(address: str, target: str) -> WrongAddress:
    """Say that the server redirects; that is not followed, for it would carry key and scan elsewhere."""
    return WrongAddress(
        _("{address} sends its callers to {target}. If you trust that server, enter its address instead.").format(
            address=address, target=target or _("another address")
        )
    )


def wrong_version(address: str, api: str, ours: int) -> WrongVersion:
    """Say that the server is older or newer than this module."""
    older = _first_number(api) < ours
    advice = _("Update the server.") if older else _("Update the SemGAN extension in the Extensions Manager.")
    return WrongVersion(
        _("{address} speaks version {api} of the job API, this module version {ours}. {advice}").format(
            address=address, api=api or "?", ours=ours, advice=advice
        )
    )


def _first_number(api: str) -> int:
    first = api.split(".")[0]
    return int(first) if first.isdigit() else 0


def status_error(address: str, status: int, detail: str) -> ServerError:
    """Make the error that an HTTP status other than success stands for.

    Args:
        detail: what the server says; empty if nothing.
    """
    if status in (401, 403):
        return WrongKey(
            _("{address} does not accept the API key. Enter the key that the server was started with.").format(
                address=address
            )
        )
    if status in (404, 410):
        return Gone(detail or _("The server does not know this any more. Run the preview again."))
    if status in (429, 503):
        return Busy(detail or _("The server is busy. Try again in a moment."))
    if status >= 500:
        return ServerFault(
            _("The server failed: {detail} Try again; if it stays so, show whoever runs the server its log.").format(
                detail=_sentence(detail) or _("no reason given.")
            )
        )
    return Refused(_("The server does not accept this: {detail}").format(detail=_sentence(detail) or f"HTTP {status}."))


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."
