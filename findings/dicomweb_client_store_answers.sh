#!/usr/bin/env bash
# dicomweb-client 0.61.2: which objects an archive did not store is not heard if its answer names the character set.
#
# Guess before the run: `store_instances` returns what the archive answers, whatever parameters its media type has
# (RFC 9110, 8.3.1), or says that it cannot read it.
# Seen: of `application/dicom+json` the answer is returned, with its Failed SOP Sequence. Of
# `application/dicom+json; charset=utf-8`, as many web frameworks send all JSON, an empty data set is returned: no
# exception, warning or line of the log. Whoever looks for failures in it finds none, and takes objects for stored that
# the archive has refused. The client compares the whole header with two fixed texts. Of an answer with status 409 the
# reasons are lost in both cases: the exception comes before they are looked at.
#
# Needs no data; asks a server on 127.0.0.1 that it starts; installs into a temporary folder (140 MB); exit code 1 when
# the behaviour is no longer this one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    "dicomweb-client==0.61.2" "pydicom==3.0.2" "requests==2.34.2" "numpy<3"
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import importlib.metadata
import json
import logging
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

NO_ROOM = 0xA700
answer = {}


class Archive(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        item = {"00081155": {"vr": "UI", "Value": ["1.2.3"]}, "00081197": {"vr": "US", "Value": [NO_ROOM]}}
        self.send_response(answer["status"])
        self.send_header("Content-Type", answer["type"])
        self.end_headers()
        self.wfile.write(json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode())

    def log_message(self, *_):
        pass


def stored(status, media_type):
    """The reasons of failure that the client returns."""
    answer.update(status=status, type=media_type)
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    try:
        result = client.store_instances([dataset])
        reasons = [f"{item.FailureReason:04X}" for item in result.get("FailedSOPSequence", [])]
    except requests.HTTPError:
        reasons = ["HTTPError"]
    print(f"{status} {media_type:40} reasons of failure: {reasons}")
    return reasons


told = []
handler = logging.Handler(logging.WARNING)
handler.emit = lambda record: told.append(record.getMessage())
logging.getLogger().addHandler(handler)
server = ThreadingHTTPServer(("127.0.0.1", 0), Archive)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = DICOMwebClient(f"http://127.0.0.1:{server.server_port}")
print("dicomweb-client", importlib.metadata.version("dicomweb-client"))
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    plain = stored(200, "application/dicom+json")
    named = stored(200, "application/dicom+json; charset=utf-8")
    silent = not warned and not told
    print("warnings and lines of the log:", [str(one.message) for one in warned] + told)
    conflict = stored(409, "application/dicom+json")
server.shutdown()
raise SystemExit(0 if silent and (plain, named, conflict) == (["A700"], [], ["HTTPError"]) else 1)
PY
echo "behaviour as described"
