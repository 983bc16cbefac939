#!/usr/bin/env bash
# pydicom 3.0.2: names in ISO 2022 IR 58 (GB 2312) are written without the escape sequence, and read with it in the text.
#
# Guess before the run: a name in Specific Character Set \ISO 2022 IR 58 comes through writing and reading, as those in
# the other multi-byte sets with code extensions, IR 87 and IR 149, do (DICOM PS3.5 annex K has an example for IR 58).
# Seen: pydicom writes the bytes of GB 2312 without ESC $ ) A before each component, and reads them as the first
# character set: another name, no warning. A name as the standard has it, with the escape sequences, is read with these
# in the text, no warning either. `pydicom.charset.handled_encodings` lists `iso_ir_58` among the codecs that write and
# take away escape sequences themselves; Python's codecs of ISO-2022-JP do, that of GB 2312 does not. Compared with the
# same name from elsewhere, it is another patient.
#
# Needs no data; installs into a temporary folder (50 MB); exit code 1 when the behaviour is no longer this one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "pydicom==3.0.2"
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

ESCAPE = b"\x1b$)A"


def written(name, term):
    dataset = Dataset()
    dataset.SpecificCharacterSet, dataset.PatientName = ["", term], name
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as("name.dcm", enforce_file_format=True, overwrite=True)


def read():
    dataset = pydicom.dcmread("name.dcm")
    return dataset.get_item("PatientName").value, str(dataset.PatientName)


print("pydicom", pydicom.__version__)
kept = {}
for term in ("ISO 2022 IR 58", "ISO 2022 IR 87", "ISO 2022 IR 149"):
    name = "Phantom^Yi=幻^一"
    written(name, term)
    stored, text = read()
    kept[term] = text == name
    print(f"{term:15} written by pydicom: {stored!r}, read again: {text!r}")
    if term == "ISO 2022 IR 58":
        escapes_written = stored.count(ESCAPE)

standard = b"Phantom^Yi=" + ESCAPE + "幻".encode("gb2312") + b"^" + ESCAPE + "一".encode("gb2312") + b" "
written("X" * len(standard), "ISO 2022 IR 58")
file = Path("name.dcm")
file.write_bytes(file.read_bytes().replace(b"X" * len(standard), standard))
stored, text = read()
print(f"ISO 2022 IR 58  as the standard has it: {stored!r}, read: {text!r}")
seen = escapes_written == 0 and list(kept.values()) == [False, True, True]
seen = seen and stored.strip() == standard.strip() and text == "Phantom^Yi=\x1b$)A幻^\x1b$)A一"
raise SystemExit(0 if seen else 1)
PY
echo "behaviour as described"
