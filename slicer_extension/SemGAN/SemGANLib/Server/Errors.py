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


class Stopped(ServerError):
    """A transfer was stopped here."""


class NotTrusted(ServerError):
    """The certificate of an https server is not accepted."""


class WrongCertificate(ServerError):
    """The file of a certificate that is to be trusted cannot be used."""


class OtherServer(ServerError):
    """A server, but not ours."""

    undecided = True


class WrongKey(ServerError):
    """The API key is missing or wrong."""


class NeedsLogin(ServerError):
    """The server wants a name and a password of MONAI Label's log-in, or others."""


class Forbidden(ServerError):
    """The server knows who asks, and does not let them do this."""


class WrongVersion(ServerError):
    """Our server, but it speaks another version of the job API."""

    undecided = True


class Gone(ServerError):
    """The job, upload or image is unknown to the server, or has expired."""


class Refused(ServerError):
    """The server does not accept what was asked."""


class Conflict(Refused):
    """It does not fit how things stand at the server now, such as a job that has ended."""


class Outdated(Refused):
    """What was to be replaced is not what the user has seen: somebody else was there; in the server's own words."""


class NotAllowed(Refused):
    """The server knows the address, but not this way to ask for it: it is older."""


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


def not_trusted(address: str, reason: str, certificate: str = "") -> NotTrusted:
    """Say that the certificate is not accepted.

    Args:
        reason: in the words of OpenSSL.
        certificate: file that was to be trusted; empty if there was none.
    """
    lowered = reason.lower()
    if "mismatch" in lowered or "not valid for" in lowered:
        text = _(
            "The certificate of {address} is for another name ({reason}). Enter the name that it was made for as"
            " address, or have a certificate made for this one."
        )
    elif "expired" in lowered or "not yet valid" in lowered:
        text = _(
            "The certificate of {address} is not valid at this time ({reason}). Look at the date of this computer, then"
            " ask whoever runs the server to renew it."
        )
    elif certificate:
        text = _(
            "The certificate of {address} does not belong to the one in {certificate} ({reason}). Ask whoever runs the"
            " server for the one that it uses now."
        )
    else:
        text = _(
            "The certificate of {address} is not trusted ({reason}). Ask whoever runs the server for its certificate"
            " (a .pem or .crt file), choose it under Server, Log-in and certificate, and connect again. SSL_CERT_FILE"
            " is of no use here: 3D Slicer sets it to its own file."
        )
    return NotTrusted(text.format(address=address, reason=reason, certificate=certificate))


def unreadable_certificate(certificate: str, reason: str) -> WrongCertificate:
    """Say that a file holds no certificate that could be trusted."""
    return WrongCertificate(
        _(
            "The certificate {certificate} cannot be used: {reason}. Choose the file (.pem, .crt or .cer) that whoever"
            " runs the server has given you, or leave the field empty."
        ).format(certificate=certificate, reason=reason)
    )


def stopped() -> Stopped:
    """Say that a transfer was stopped here."""
    return Stopped(_("Stopped before all of the volume was sent."))


def wrong_key(address: str) -> WrongKey:
    """Say that the key is missing or wrong."""
    return WrongKey(
        _("{address} does not accept the API key. Enter the key that the server was started with.").format(
            address=address
        )
    )


def unusable_key() -> WrongKey:
    """Say that what was typed as a key is none."""
    return WrongKey(
        _(
            "What was entered as API key cannot be one: keys have no line breaks and no letters beyond a to z. Copy it"
            " again from whoever runs the server."
        )
    )


def needs_login(address: str) -> NeedsLogin:
    """Say that the server wants to know who asks."""
    return NeedsLogin(
        _(
            "{address} asks for a user name and password. Enter both under Server, Log-in and certificate, and connect"
            " again."
        ).format(address=address)
    )


def login_refused(address: str, user: str) -> NeedsLogin:
    """Say that name or password are wrong."""
    return NeedsLogin(
        _("{address} refuses the password of “{user}”. Enter name and password again, and connect.").format(
            address=address, user=user
        )
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
    if status == 401:
        return wrong_key(address)
    if status == 403:
        return Forbidden(
            _("The server does not allow this: {detail}").format(detail=_sentence(detail) or _("no reason given."))
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
    if status == 412:
        return Outdated(_sentence(detail) or _("Somebody else has changed it."))
    kind = {405: NotAllowed, 409: Conflict}.get(status, Refused)
    return kind(_("The server does not accept this: {detail}").format(detail=_sentence(detail) or f"HTTP {status}."))


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."
