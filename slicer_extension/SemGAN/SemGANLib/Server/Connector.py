"""The connection to a server, and what of it is remembered."""

from __future__ import annotations

from typing import Callable

from ..Protocols import Client, Runner, Settings, Task
from ..Signal import Signal
from ..Texts import connected_text
from ..Translation import tr as _
from ..Types import Health, Model
from ..Views import Connection
from .Address import DEFAULT_ADDRESS, read_address
from .Client import Client as HttpClient
from .Errors import WrongAddress

ADDRESS_KEY, API_KEY = "SemGAN/ServerAddress", "SemGAN/ServerKey"

ClientFactory = Callable[[str, str], Client]
"""Makes a client from address and API key; raises `Errors.WrongAddress`."""


class Connector:
    """Connects to one server at a time. Address and key live in the settings of the application, never in the scene.

    Args:
        make_client: the client of this library unless another one is injected.
    """

    def __init__(self, runner: Runner, settings: Settings, make_client: ClientFactory = HttpClient) -> None:
        self.changed = Signal("Connection")
        self.connection = Connection()
        self.client: Client | None = None
        self._runner = runner
        self._settings = settings
        self._make_client = make_client
        self._task: Task | None = None

    def saved(self) -> tuple[str, str]:
        """Look up address and API key in the settings."""
        address = self._settings.value(ADDRESS_KEY, DEFAULT_ADDRESS)
        return str(address or DEFAULT_ADDRESS), str(self._settings.value(API_KEY, "") or "")

    def connect(self, address: str, key: str = "", remember_key: bool = True) -> None:
        """Ask a server who it is and what it runs."""
        self._forget()
        try:
            where = read_address(address)
            client = self._make_client(address, key)
        except WrongAddress as error:
            self._show(Connection("failed", address, str(error)))
            return
        self._remember(str(where), key if remember_key else "")
        text = _("Connecting to {address}").format(address=where)
        self._show(Connection("connecting", str(where), text, where.local))
        self._task = self._runner.run(
            lambda: (client.health(), client.models()),
            lambda answer: self._connected(client, *answer),
            lambda error: self._show(Connection("failed", str(where), str(error), where.local)),
        )

    def disconnect(self) -> None:
        """Leave the server."""
        self._forget()
        self._show(Connection("off", text=_("Not connected")))

    def _connected(self, client: Client, health: Health, models: tuple[Model, ...]) -> None:
        self.client = client
        where = read_address(client.address)
        text = connected_text(client.address, health, models)
        self._show(Connection("on", client.address, text, where.local, health, models))

    def _remember(self, address: str, key: str) -> None:
        self._settings.setValue(ADDRESS_KEY, address)
        if key:
            self._settings.setValue(API_KEY, key)
        else:
            self._settings.remove(API_KEY)

    def _forget(self) -> None:
        if self._task is not None:
            self._task.drop()
        self.client = None

    def _show(self, connection: Connection) -> None:
        self.connection = connection
        self.changed.emit(connection)
