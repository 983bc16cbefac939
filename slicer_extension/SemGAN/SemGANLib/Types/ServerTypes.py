"""How a server is, and what it wants to know of whoever asks, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

API_MAJOR = 1
"""First number of the job API's version that this library speaks."""


PRODUCT = "monai_semgan"
"""How the server names itself."""


@dataclass(frozen=True)
class Worker:
    """A process of the server that computes."""

    device: str
    state: str


@dataclass(frozen=True)
class Health:
    """How the server is.

    Attributes:
        product: tells this server from others.
        api: version of the job API.
        ready: a job starts at once if none is queued.
        keep_seconds: how long ended jobs and unused uploads are kept; None where an older server does not say.
    """

    product: str = PRODUCT
    version: str = ""
    api: str = ""
    ready: bool = False
    queued: int = 0
    upload_limit_bytes: int | None = None
    keep_seconds: float | None = None
    workers: tuple[Worker, ...] = ()
    research_only: str = ""


@dataclass(frozen=True)
class Access:
    """What a server wants to know of whoever asks, and by what it is known itself.

    Attributes:
        key: API key; empty for none.
        certificate: file of a certificate that is trusted beside those of the application; empty for none.
        client: random id of this installation, by which a server knows whose jobs are whose.
        user: name in MONAI Label's log-in; empty where there is none.
        password: never stored.
    """

    key: str = field(default="", repr=False)
    certificate: str = ""
    client: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
