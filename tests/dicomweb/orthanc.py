"""A real Orthanc with its DICOMweb plugin, on a free port of 127.0.0.1 and with a storage of its own."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.dicomweb.certificates import Certificates
from tests.dicomweb.nginx import Nginx
from tests.dicomweb.processes import ServerProcess
from tests.free_ports import free_port

PLUGINS = tuple(
    Path(folder) / f"libOrthancDicomWeb.{ending}"
    for folder in ("/usr/share/orthanc/plugins", "/usr/local/share/orthanc/plugins", "/opt/homebrew/lib")
    for ending in ("so", "dylib")
)
PLUGIN = next((path for path in PLUGINS if path.exists()), None)

needs_orthanc = pytest.mark.skipif(
    shutil.which("Orthanc") is None or PLUGIN is None,
    reason="needs Orthanc and its DICOMweb plugin (Debian: orthanc orthanc-dicomweb)",
)

HTTPS = """
daemon off;
pid nginx.pid;
events {{}}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {server};
        ssl_certificate_key {server};
        location / {{
            proxy_pass http://127.0.0.1:{inner};
            proxy_set_header Forwarded "host=127.0.0.1:{port};proto=https";
        }}
    }}
}}
"""
"""nginx before Orthanc: that of Debian 12 falls at the first request if it is to serve HTTPS itself."""


class Orthanc:
    """A server that runs while the block does.

    Args:
        folder: for storage, configuration and log.
        user: name and password, without which it answers nothing; without authentication if left out.
        certificates: serves HTTPS with these, by nginx: for tests marked `needs_nginx` as well.
        settings: others, by their names in Orthanc's configuration; those of a section replace it as a whole.
    """

    def __init__(
        self,
        folder: Path,
        *,
        user: tuple[str, str] | None = None,
        certificates: Certificates | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.user, self.certificates = user, certificates
        self.log = folder / "orthanc.log"
        self._inner = self.port = free_port()
        configuration = folder / "orthanc.json"
        configuration.write_text(json.dumps(self._defaults(folder) | (settings or {}), indent=1))
        self._process, self._proxy = ServerProcess(["Orthanc", str(configuration)], self.log), None
        if certificates is not None:
            self._proxy = self._https(folder / "nginx", certificates)

    def __enter__(self) -> Orthanc:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def root(self) -> str:
        """Orthanc's own API."""
        return f"{'https' if self.certificates else 'http'}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The archive: root of QIDO-RS, WADO-RS and STOW-RS, without a slash at the end."""
        return f"{self.root}/dicom-web"

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._process.start(self._answers)
        if self._proxy is not None:
            self._proxy.start()

    def stop(self) -> None:
        """End it; what it holds stays in the storage."""
        if self._proxy is not None:
            self._proxy.stop()
        self._process.stop()

    def restart(self) -> None:
        """Start again, on the same port and storage."""
        self.stop()
        self.start()

    def store(self, paths: Iterable[Path]) -> list[str]:
        """Put DICOM files in by Orthanc's own API, folders with all that is in them.

        Returns:
            Orthanc's names of the instances.
        """
        files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
        return [self.rest("/instances", file.read_bytes())["ID"] for file in files if file.is_file()]

    def rest(self, path: str, body: bytes | None = None, method: str | None = None) -> Any:
        """Ask Orthanc's own API: GET, or POST where there is a body; returns what the JSON says."""
        return json.loads(self.get(path, body=body, method=method) or "null")

    def get(self, path: str, *, body: bytes | None = None, method: str | None = None, **headers: str) -> bytes:
        """Ask for a path from the root, with the user's password; dashes of headers' names as underscores.

        Raises:
            urllib.error.HTTPError: it refuses.
        """
        return self._ask(self.root + path, body, method, {name.replace("_", "-"): headers[name] for name in headers})

    def _ask(self, url: str, body: bytes | None, method: str | None, headers: dict[str, str]) -> bytes:
        if self.user is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(self.user).encode()).decode()
        context = ssl.create_default_context(cafile=self.certificates.authority) if self.certificates else None
        handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
        request = urllib.request.Request(url, body, headers, method=method)
        with urllib.request.build_opener(*handlers).open(request, timeout=60) as answer:
            return bytes(answer.read())

    def _answers(self) -> bool:
        try:
            self._ask(f"http://127.0.0.1:{self._inner}/system", None, None, {})
        except urllib.error.HTTPError:
            raise
        except OSError:
            return False
        return True

    def _https(self, folder: Path, certificates: Certificates) -> Nginx:
        self.port = free_port()
        configuration = HTTPS.format(port=self.port, server=certificates.server, inner=self._inner)
        return Nginx(folder, configuration, self.port)

    def _defaults(self, folder: Path) -> dict[str, Any]:
        return {
            "Name": "Test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "Plugins": [str(PLUGIN)],
            "HttpPort": self._inner,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": self.user is not None,
            "RegisteredUsers": dict([self.user]) if self.user else {},
            "ExecuteLuaEnabled": False,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
