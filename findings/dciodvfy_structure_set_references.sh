#!/usr/bin/env bash
# dicom3tools 1.00~20220618093127-2 (Debian 12): dciodvfy takes a structure set for one that refers to no instances.
#
# Guess before the run: a structure set that names its images (Contour Image Sequence) and its predecessor may have the
# Common Instance Reference Module (PS3.3 A.19.3: optional), whose Referenced Series Sequence is required where instances
# of the study are referenced.
# Seen: "Error - ReferencedSeriesSequence present but Instance does not reference Instances". Neither contour images nor
# Predecessor Structure Set Sequence count; with Referenced Instance Sequence (General Reference Module) beside them the
# same file is found to be right.
#
# Needs dciodvfy and python3; no data; exit code 1 when the behaviour is no longer this one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "pydicom==3.0.2"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PY'
import subprocess

from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian, RTStructureSetStorage

STUDY, SERIES, IMAGE, EARLIER = "1.2.3", "1.2.3.1", "1.2.3.1.1", "1.2.3.2.1"


def item(**values):
    one = Dataset()
    for name, value in values.items():
        setattr(one, name, value)
    return one


def instance(kind, uid):
    return item(ReferencedSOPClassUID=kind, ReferencedSOPInstanceUID=uid)


def errors(also_by_general_reference):
    series = item(SeriesInstanceUID=SERIES, ContourImageSequence=[instance(CTImageStorage, IMAGE)])
    study = item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=STUDY, RTReferencedSeriesSequence=[series]
    )
    frame = item(FrameOfReferenceUID="1.2.3.9", RTReferencedStudySequence=[study])
    contour = item(
        ContourImageSequence=[instance(CTImageStorage, IMAGE)], ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=3, ContourData=[0, 0, 0, 1, 0, 0, 0, 1, 0],
    )
    region = item(ROINumber=1, ROIName="a", ReferencedFrameOfReferenceUID="1.2.3.9", ROIGenerationAlgorithm="MANUAL")
    observed = item(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="", ROIInterpreter="")
    one = item(
        SOPClassUID=RTStructureSetStorage, SOPInstanceUID="1.2.3.3.1", StudyInstanceUID=STUDY, SeriesInstanceUID="1.2.3.3",
        PatientName="Phantom^", PatientID="1", PatientBirthDate="", PatientSex="", StudyDate="", StudyTime="", StudyID="",
        AccessionNumber="", ReferringPhysicianName="", Modality="RTSTRUCT", SeriesNumber=1, OperatorsName="",
        Manufacturer="a", FrameOfReferenceUID="1.2.3.9", PositionReferenceIndicator="", StructureSetLabel="A",
        StructureSetDate="", StructureSetTime="", ReferencedFrameOfReferenceSequence=[frame],
        PredecessorStructureSetSequence=[instance(RTStructureSetStorage, EARLIER)], StructureSetROISequence=[region],
        ROIContourSequence=[item(ReferencedROINumber=1, ContourSequence=[contour])],
        RTROIObservationsSequence=[observed],
        ReferencedSeriesSequence=[
            item(SeriesInstanceUID=SERIES, ReferencedInstanceSequence=[instance(CTImageStorage, IMAGE)]),
            item(SeriesInstanceUID="1.2.3.2", ReferencedInstanceSequence=[instance(RTStructureSetStorage, EARLIER)]),
        ],
    )
    if also_by_general_reference:
        reference = instance(RTStructureSetStorage, EARLIER)
        purpose = item(CodeValue="1", CodingSchemeDesignator="99A", CodeMeaning="Earlier")
        reference.PurposeOfReferenceCodeSequence = [purpose]
        one.ReferencedInstanceSequence = [reference]
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    one.save_as("set.dcm", enforce_file_format=True)
    said = subprocess.run(["dciodvfy", "-new", "set.dcm"], capture_output=True, text=True).stderr
    return [line for line in said.splitlines() if line.startswith("Error")]


alone, both = errors(False), errors(True)
print("by contours and predecessor:", alone, "\nby general reference as well:", both)
raise SystemExit(0 if len(alone) == 1 and "does not reference Instances" in alone[0] and both == [] else 1)
PY
echo "behaviour as described"
