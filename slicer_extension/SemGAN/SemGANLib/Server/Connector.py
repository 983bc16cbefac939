"""The connection to a server, and what of it is remembered."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import Callable

from ..Protocols.ApplicationProtocol import Settings
from ..Protocols.ClientProtocol import Client
from ..Protocols.RunnerProtocol import Runner, Task
from ..Signal import Signal
from ..Texts import connected_text
from ..Translation import tr as _
from ..Types.ModelTypes import Model
from ..Types.ServerTypes import Access, Health
from ..Views import Connection
from .Address import DEFAULT_ADDRESS, read_address
from .Client import Client as HttpClient
from .Errors import NeedsLogin, NotTrusted, ServerError, WrongAddress, WrongCertificate

ADDRESS_KEY, API_KEY = "SemGAN/ServerAddress", "SemGAN/ServerKey"
CERTIFICATE_KEY, USER_KEY = "SemGAN/ServerCertificate", "SemGAN/ServerUser"
CLIENT_KEY = "SemGAN/ClientId"

CLIENT_ID = re.compile("[A-Za-z0-9_.-]{8,64}")

WARMING_SECONDS = (1.0, 2.0, 2.0, 5.0, 5.0, 10.0)
"""Waits before a server that is warming up is asked again; the last one for all further times."""

WARMING_TRIES = 360
"""Nobody asks for ever: an hour is more than the largest model needs."""

ClientFactory = Callable[[str, Access], Client]
"""Makes a client from an address and what a server wants to know; raises `Errors.WrongAddress`."""


class Connector:
    """Connects to one server at a time.

    Address, key, certificate and name live in the settings of the application, never in the scene; the password in
    the client alone. The random id by which servers know whose jobs are whose is made once, and stays.

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
        return str(address or DEFAULT_ADDRESS), self._setting(API_KEY)

    def saved_access(self) -> tuple[str, str]:
        """Look up the file of a certificate and the name in a log-in."""
        return self._setting(CERTIFICATE_KEY), self._setting(USER_KEY)

    def connect(self, address: str, access: Access, remember_key: bool = True) -> None:
        """Ask a server who it is and what it runs."""
        self._forget()
        access = replace(access, client=self._client_id())
        try:
            where = read_address(address)
            client = self._make_client(address, access)
        except WrongAddress as error:
            self._show(Connection("failed", address, str(error)))
            return
        self._remember(str(where), access, remember_key)
        text = _("Connecting to {address}").format(address=where)
        begun = Connection("connecting", str(where), text, where.local)
        self._show(begun)
        self._task = self._runner.run(
            lambda: (client.health(), client.models()),
            lambda answer: self._connected(client, *answer),
            lambda error: self._failed(begun, error),
        )

    def disconnect(self) -> None:
        """Leave the server."""
        self._forget()
        self._show(Connection("off", text=_("Not connected")))

    def look_again(self) -> None:
        """Ask anew how the server is and what it runs, as after a job: it has measured how long that took."""
        client = self.client
        if client is not None:
            self._runner.run(
                lambda: (client.health(), client.models()),
                lambda answer: self._updated(client, *answer),
                lambda _error: None,  # whatever it is, the next request meets it too
            )

    def _updated(self, client: Client, health: Health, models: tuple[Model, ...]) -> None:
        if client is self.client:
            connection = self._on(replace(self.connection, models=models), health)
            if (connection.text, models) != (self.connection.text, self.connection.models):
                self._show(connection)

    def _connected(self, client: Client, health: Health, models: tuple[Model, ...]) -> None:
        self.client = client
        self._show(self._on(Connection("on", client.address, user=client.user, models=models), health))
        self._wait_until_warm(client, 0)

    def _failed(self, connection: Connection, error: Exception) -> None:
        untrusted = isinstance(error, (NotTrusted, WrongCertificate))
        login = isinstance(error, NeedsLogin)
        self._show(replace(connection, state="failed", text=str(error), login=login, untrusted=untrusted))

    def _on(self, connection: Connection, health: Health) -> Connection:
        text = connected_text(connection.address, health, connection.models)
        local = read_address(connection.address).local
        return replace(connection, text=text, local=local, health=health)

    # warming up

    def _wait_until_warm(self, client: Client, tried: int) -> None:
        """Ask again after a while as long as the server is warming up, and show what it has become."""
        health = self.connection.health
        if health is None or health.ready or tried >= WARMING_TRIES:
            return
        seconds = WARMING_SECONDS[min(tried, len(WARMING_SECONDS) - 1)]
        self._task = self._runner.later(seconds, lambda: self._ask_again(client, tried + 1))

    def _ask_again(self, client: Client, tried: int) -> None:
        self._task = self._runner.run(
            client.health,
            lambda health: self._heard(client, tried, health),
            lambda error: self._not_heard(client, tried, error),
        )

    def _heard(self, client: Client, tried: int, health: Health) -> None:
        connection = self._on(self.connection, health)
        if (connection.text, health.ready) != (self.connection.text, getattr(self.connection.health, "ready", None)):
            self._show(connection)
        self._wait_until_warm(client, tried)

    def _not_heard(self, client: Client, tried: int, error: Exception) -> None:
        if isinstance(error, ServerError) and error.passing:  # it may be starting anew
            self._wait_until_warm(client, tried)
        else:
            self._forget()
            self._failed(self.connection, error)

    # what is remembered

    def _client_id(self) -> str:
        known = self._setting(CLIENT_KEY)
        if CLIENT_ID.fullmatch(known) is None:
            known = f"slicer-{secrets.token_hex(12)}"
            self._settings.setValue(CLIENT_KEY, known)
        return known

    def _remember(self, address: str, access: Access, remember_key: bool) -> None:
        kept = {
            ADDRESS_KEY: address,
            API_KEY: access.key if remember_key else "",
            CERTIFICATE_KEY: access.certificate,
            USER_KEY: access.user,
        }
        for name, value in kept.items():
            if value:
                self._settings.setValue(name, value)
            else:
                self._settings.remove(name)

    def _setting(self, name: str) -> str:
        return str(self._settings.value(name, "") or "")

    def _forget(self) -> None:
        if self._task is not None:
            self._task.drop()
        self.client = None

    def _show(self, connection: Connection) -> None:
        self.connection = connection
        self.changed.emit(connection)
