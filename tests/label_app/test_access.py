"""Who may ask a server of `semgan serve`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import nibabel
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.label_app.holes import ask
from tests.label_app.servers import STOCK_APP, Server, fill, start_monailabel, start_semgan

pytestmark = pytest.mark.label
KEY = "correct-horse-battery-staple"
VIEWER = "https://viewer.example"


@pytest.fixture(scope="module")
def keyed(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a key that one web page may ask."""
    folder = tmp_path_factory.mktemp("keyed")
    (folder / "key").write_text(f"{KEY}\n")
    (folder / "key").chmod(0o600)
    options = ("--bundle", tiny_bundle, "--api-key-file", folder / "key", "--allow-origin", VIEWER)
    with start_semgan(fill(folder / "studies"), folder / "home", *options) as server:
        yield server


def _all_routes(server: Server) -> Iterator[tuple[str, str]]:
    described = ask(server, "GET", "/openapi.json", headers={"X-API-Key": KEY}).json()["paths"]
    for path, methods in described.items():
        for method in methods:
            yield method.upper(), path.replace("{", "").replace("}", "")
    for path in ("/", "/docs", "/openapi.json", "/static/favicon.ico", "/ohif/", "/proxy/dicom/x", "/nowhere"):
        yield "GET", path
    yield "POST", "/reload"
    yield "PUT", "/datastore/"
    yield "OPTIONS", "/info/"


def test_no_route_answers_without_the_key(keyed: Server) -> None:
    routes = list(_all_routes(keyed))
    assert len(routes) > 40 and any(path.startswith("/semgan") for _, path in routes)
    for method, path in routes:
        for headers in ({}, {"X-API-Key": KEY[:-1]}, {"X-API-Key": ""}, {"Authorization": f"Basic {KEY}"}):
            answer = ask(keyed, method, path, headers=headers)
            assert answer.status_code == 401, (method, path, headers)
            assert method == "HEAD" or "key" in answer.json()["detail"]


@pytest.mark.parametrize("headers", [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}])
def test_the_key_opens_everything(headers: dict[str, str], keyed: Server) -> None:
    for path in ("/info/", "/", "/docs", "/openapi.json", "/static/favicon.ico", "/semgan/health", "/datastore/"):
        assert ask(keyed, "GET", path, headers=headers).ok, path


def test_monai_labels_own_client_brings_the_key_as_a_token(keyed: Server, tmp_path: Path) -> None:
    from monailabel.client import MONAILabelClient

    client = MONAILabelClient(keyed.address, tmpdir=str(tmp_path))
    assert client.auth_enabled() is False
    client.update_auth({"token_type": "Bearer", "access_token": KEY})
    file, _ = client.infer("semgan_preview", "ct", {})
    assert nibabel.load(file).shape == nibabel.load(keyed.studies / "ct.nii.gz").shape


def test_the_page_that_may_ask_is_told_so_and_no_other(keyed: Server) -> None:
    asked = {"Origin": VIEWER, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "X-API-Key"}
    assert ask(keyed, "OPTIONS", "/info/", headers=asked).headers["access-control-allow-origin"] == VIEWER
    told = ask(keyed, "GET", "/info/", headers={"Origin": VIEWER, "X-API-Key": KEY})
    assert told.ok and told.headers["access-control-allow-origin"] == VIEWER
    other = ask(keyed, "GET", "/info/", headers={"Origin": "https://evil.example", "X-API-Key": KEY})
    assert other.status_code == 403 and "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost@evil.example:80"])
def test_only_names_of_this_computer_are_answered(host: str, keyed: Server) -> None:
    assert ask(keyed, "GET", "/info/", headers={"Host": host, "X-API-Key": KEY}).status_code == 400


def test_the_key_is_in_no_log_and_no_list_of_processes(keyed: Server) -> None:
    import psutil

    assert KEY not in keyed.logged()
    assert KEY not in " ".join(psutil.Process(keyed.process.pid).cmdline())


class Realm:
    """What MONAI Label's log-in needs of Keycloak: a public key, and tokens that are signed with the private one."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public = public.decode()
        body = json.dumps({"public_key": "".join(self.public.splitlines()[1:-1])}).encode()

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.variables = {
            "MONAI_LABEL_AUTH_ENABLE": "true",
            "MONAI_LABEL_AUTH_REALM_URI": f"http://127.0.0.1:{self.server.server_port}/realm",
        }

    def header(
        self, *roles: str, key: Any = None, algorithm: str = "RS256", seconds: float = 600, name: str = "eva"
    ) -> dict[str, str]:
        """A token's header."""
        claims = {"preferred_username": name, "realm_access": {"roles": list(roles)}, "exp": time.time() + seconds}
        token = jwt.encode(claims, key or self.key, algorithm=algorithm)
        return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    """A log-in server."""
    made = Realm()
    yield made
    made.server.shutdown()


def test_the_stock_server_refuses_every_token(realm: Realm, tmp_path: Path) -> None:
    studies = fill(tmp_path / "studies")
    with start_monailabel(STOCK_APP, studies, tmp_path / "home", variables=realm.variables) as server:
        assert ask(server, "GET", "/info/", headers=realm.header("monailabel-user")).status_code == 401


def test_semgan_serve_knows_good_tokens_from_bad_ones(realm: Realm, tiny_bundle: Path, tmp_path: Path) -> None:
    studies = fill(tmp_path / "studies")
    user, nobody = realm.header("monailabel-user"), realm.header("somebody-else")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = realm.header("monailabel-admin", key=other)
    unsigned = {"Authorization": f"Bearer {jwt.encode({'preferred_username': 'eva'}, None, algorithm='none')}"}
    late = realm.header("monailabel-user", seconds=-10)
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle, variables=realm.variables) as server:
        for path in ("/info/", "/semgan/health", "/openapi.json", "/", "/static/favicon.ico"):
            assert ask(server, "GET", path, headers=user).ok, path
            assert ask(server, "GET", path, headers=nobody).status_code == 403, path
            for bad in ({}, forged, unsigned, late, {"Authorization": "Bearer x"}):
                assert ask(server, "GET", path, headers=bad).status_code == 401, path
        assert ask(server, "GET", "/auth/").json()["enabled"] is True
        assert ask(server, "DELETE", "/datastore/image?id=ct", headers=user).status_code == 403
        assert ask(server, "DELETE", "/datastore/image?id=ct", headers=realm.header("monailabel-admin")).ok
