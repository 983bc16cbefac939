#!/usr/bin/env bash
# dicomweb-client 0.61.2: questions name the host without its port, of IPv6 without its address; answers lead elsewhere.
#
# Guess before the run: the header `Host` is that of the address, `127.0.0.1:8042` (RFC 9110, 7.2), and of an address of
# IPv6 it has the brackets and what stands in them.
# Seen: all questions that are not streamed, which are QIDO-RS, single instances and metadata, say `Host: 127.0.0.1`
# whatever the port; to http://[::1]:8042 they say `Host: [`. Only streamed series have what requests makes of the
# address. An archive that builds the links of its answers (Retrieve URL, bulk data) from that header leads clients to
# port 80: Orthanc 1.10.1 with its plugin 1.7 answers http://127.0.0.1/dicom-web/studies/... on any port, and the next
# question, to that link, finds nobody. The client cuts the host out of the address by a regular expression that ends it
# at the first colon.
#
# Needs no data; asks a server on loopback that it starts; installs into a temporary folder (140 MB); exit code 1 when
# the behaviour is no longer this one. On a computer without IPv6 that part is left out.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    "dicomweb-client==0.61.2" "pydicom==3.0.2" "requests==2.34.2" "numpy<3"
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import importlib.metadata
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from dicomweb_client import DICOMwebClient

hosts = []


class Archive(BaseHTTPRequestHandler):
    def do_GET(self):
        hosts.append(self.headers["Host"])
        self.send_response(200)
        parts = "multipart" in self.headers["Accept"]
        self.send_header("Content-Type", "multipart/related; boundary=part" if parts else "application/dicom+json")
        self.end_headers()
        self.wfile.write(b"\r\n--part--\r\n" if parts else b"[]")

    def log_message(self, *_):
        pass


def asked(address):
    """What the header says: of a question for studies, of one for a series that is streamed, and the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = type("Server", (ThreadingHTTPServer,), {"address_family": family})((address.strip("[]"), 0), Archive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = DICOMwebClient(f"http://{address}:{server.server_port}/dicom-web")
    hosts.clear()
    client.search_for_studies()
    list(client.iter_series("1.2", "1.2.3"))
    server.shutdown()
    print(f"http://{address}:{server.server_port}: studies with Host: {hosts[0]}, a series with Host: {hosts[1]}")
    return hosts[0], hosts[1] == f"{address}:{server.server_port}"


print("dicomweb-client", importlib.metadata.version("dicomweb-client"))
seen = asked("127.0.0.1") == ("127.0.0.1", True)
try:
    socket.create_server(("::1", 0), family=socket.AF_INET6).close()
except OSError:
    print("no IPv6 on this computer")
else:
    seen = seen and asked("[::1]") == ("[", True)
raise SystemExit(0 if seen else 1)
PY
echo "behaviour as described"
