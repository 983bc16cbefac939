#!/usr/bin/env bash
# dicomweb-client 0.61.2: of an answer that breaks off, the last image comes cut off, and pydicom 3.0.2 reads it as one.
#
# Guess before the run: an answer in parts without its last boundary is refused, or its last part at least; pydicom says
# of a data set whose pixels end early that they do, or leaves them out.
# Seen: HTTP ends in order (an archive that sends in chunks may end like that what it cannot go on with: Orthanc 1.10.1
# with plugin 1.7 does where a file of the series is lost), the boundary that ends a multipart message is missing, and
# `iter_series` gives out what has come of the last part like any other, without an exception, warning or line of the
# log. pydicom has the pixel data, shorter than their length says, without a word as well; only `pixel_array` fails.
# Saved again, as whoever fetches a series does, it is a file in which the length fits: that it was cut off, only who
# counts rows and columns can tell any more. `retrieve_instance` does the same.
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
import logging
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pydicom
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

SIZE = 64 * 64 * 2


def image(number):
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, f"1.2.3.{number}"
    dataset.Rows = dataset.Columns = 64
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.add_new("PixelData", "OW", bytes(SIZE))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(file := BytesIO(), enforce_file_format=True)
    return file.getvalue()


class Archive(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        images = [image(1)] if "/instances/" in self.path else [image(1), image(2)]
        head = b"\r\n--part\r\nContent-Type: application/dicom\r\n\r\n"
        body = b"".join(head + one for one in images)[: -SIZE // 2]
        self.send_response(200)
        self.send_header("Content-Type", 'multipart/related; type="application/dicom"; boundary=part')
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")

    def log_message(self, *_):
        pass


told = []
handler = logging.Handler(logging.WARNING)
handler.emit = lambda record: told.append(record.getMessage())
logging.getLogger().addHandler(handler)
server = ThreadingHTTPServer(("127.0.0.1", 0), Archive)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = DICOMwebClient(f"http://127.0.0.1:{server.server_port}")
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    got = [*client.iter_series("1.2", "1.2.3"), client.retrieve_instance("1.2", "1.2.3", "1.2.3.1")]
    lengths = [len(one.PixelData) for one in got]
    got[1].save_as("saved.dcm", enforce_file_format=True)
    again = pydicom.dcmread("saved.dcm")
server.shutdown()
print("dicomweb-client", importlib.metadata.version("dicomweb-client"), "| pydicom", pydicom.__version__)
print(f"bytes of pixels of the images of a series, and of one by itself: {lengths}; they have {SIZE}")
print("warnings and lines of the log:", [str(one.message) for one in warned] + told)
element = again.get_item("PixelData")
print(f"saved and read again: length {element.length}, bytes {len(element.value)}")
try:
    again.pixel_array
    failed = "nothing"
except ValueError as error:
    failed = str(error)[:60]
print("pixel_array:", failed)
seen = lengths == [SIZE, SIZE // 2, SIZE // 2] and not warned and not told and failed != "nothing"
raise SystemExit(0 if seen and element.length == len(element.value) == SIZE // 2 else 1)
PY
echo "behaviour as described"
