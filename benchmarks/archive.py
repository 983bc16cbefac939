"""What an archive costs: a series from Orthanc to a segmentation in Orthanc, and the label server on an archive.

    Orthanc orthanc.json &                     # empty, with its DICOMweb plug-in, on loopback: docs/archives.md
    python benchmarks/archive.py --dicom $SEMGAN_DATA/dicom_ct --archive http://127.0.0.1:8042/dicom-web --out a.json

In the environment of the extra `label`. `segment` is run on the folder and on the archive in turn; `listed` is the time
to list 200 series, copies of three slices; `/info/` is asked while the server fetches and segments; memory is that of
all processes of the server after one preview, on the archive and on the folder; `soak` lets four clients list, fetch,
segment and save labels, each sent to the archive, for as long as told.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pydicom
import requests
from label_client import MEGABYTE, Client, Latencies, resident, serving
from pydicom.uid import generate_uid

from monai_semgan.dicomweb.archive import Archive
from monai_semgan.dicomweb.archive_address import ArchiveAddress, parse_address
from monai_semgan.utils.device import select_device
from monai_semgan.utils.versions import machine, versions

SERIES, SLICES = 200, 3
CLIENTS = 4


def fill(archive: Archive, dicom: Path, folder: Path) -> tuple[str, str]:
    """Store the series, and copies of its first slices as series of their own; returns its study and series UID."""
    files = [path for path in sorted(dicom.rglob("*")) if path.is_file()]
    first = [pydicom.dcmread(path) for path in files[:SLICES]]
    for path in files:
        archive.store(path)
    for number in range(SERIES - 1):
        study, series = generate_uid(), generate_uid()
        for slice_ in first:
            slice_.StudyInstanceUID, slice_.SeriesInstanceUID, slice_.SeriesNumber = study, series, number + 10
            slice_.SOPInstanceUID = slice_.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            slice_.save_as(folder / "copy.dcm")
            archive.store(folder / "copy.dcm")
    whole = pydicom.dcmread(files[0], stop_before_pixels=True)
    return str(whole.StudyInstanceUID), str(whole.SeriesInstanceUID)


def timed(command: list[str]) -> float:
    """Seconds that a command takes."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "monai_semgan", *command], check=True, capture_output=True)
    return time.perf_counter() - started


def segment(dicom: Path, series: ArchiveAddress, folder: Path, rounds: int) -> dict[str, Any]:
    """Segment the folder and the archive's series, which is sent back, in turn."""
    found: dict[str, list[float]] = {"folder": [], "archive": []}
    for number in range(rounds):
        found["folder"].append(timed(["segment", str(dicom), "-o", str(folder / f"f{number}.dcm"), "--quiet"]))
        command = ["segment", str(series), "-o", str(folder / f"a{number}.dcm"), "--send", "--quiet"]
        found["archive"].append(timed(command))
    middle = {name: statistics.median(seconds) for name, seconds in found.items()}
    return {"seconds": found, "median": middle, "more": middle["archive"] - middle["folder"]}


def listed(archive: Archive, rounds: int = 5) -> dict[str, Any]:
    """Time the listing."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        count = len(archive.list_series())
        seconds.append(time.perf_counter() - started)
    return {"series": count, "median_seconds": statistics.median(seconds)}


def server(studies: Any, image: str, folder: Path, soak_seconds: float) -> dict[str, Any]:
    """Preview one image through a server while `/info/` is asked, then let four clients work."""
    latencies, over = Latencies(), threading.Event()

    def ask_info() -> None:
        client = Client(running.address)
        while not over.wait(0.05):
            with latencies.timed("info"):
                client.get("/info/")

    with serving(studies, "--labels", str(folder), "--port", "0", "--device", "cpu") as running:
        client = Client(running.address)
        client.wait_until_warm()
        poller = threading.Thread(target=ask_info)
        poller.start()
        label = client.ask("POST", f"/infer/semgan_preview?image={image}&output=image", timeout=600).content
        (folder / "label.nii.gz").write_bytes(label)
        over.set()
        poller.join()
        memory = resident(running.process) // MEGABYTE
        soak = work(running.address, image, folder / "label.nii.gz", soak_seconds) if soak_seconds else {}
        after = resident(running.process) // MEGABYTE
    return {"info": latencies.summary()["info"], "resident_mb": memory, "after_soak_mb": after, "soak": soak}


def work(address: str, image: str, label: Path, seconds: float) -> dict[str, Any]:
    """Four clients that list, fetch, segment and save labels; counts and errors."""
    latencies, errors, sent = Latencies(), [], Counter[str]()
    end = time.monotonic() + seconds

    def read(number: int) -> None:
        client, turn = Client(address), 0
        while time.monotonic() < end:
            turn += 1
            try:
                with latencies.timed("list"):
                    client.get("/datastore/?output=all")
                with latencies.timed("image"):
                    client.ask("GET", f"/datastore/image?image={image}")
                if turn % 4 == 1:
                    with latencies.timed("segment"):
                        client.ask("POST", f"/infer/semgan_preview?image={image}&output=image", timeout=600)
                with latencies.timed("save"), label.open("rb") as stream:
                    answer = client.ask(
                        "PUT",
                        f"/datastore/label?image={image}&tag=final",
                        files={"label": ("label.nii.gz", stream)},
                        data={"params": json.dumps({"annotator": f"reader {number} turn {turn}", "edited": True})},
                        timeout=300,
                    )
                sent[answer.json()["archive"]["state"]] += 1
            except (requests.RequestException, KeyError, ValueError) as error:
                errors.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=read, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"seconds": seconds, "errors": errors, "saved": dict(sent), "latencies": latencies.summary()}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dicom", type=Path, required=True, help="folder of one CT series")
    parser.add_argument("--archive", required=True, metavar="URL", help="root of DICOMweb of an empty archive")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=float, default=300.0, metavar="SECONDS", help="0: none")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    address = parse_address(arguments.archive)
    archive = Archive(address)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study, series = fill(archive, arguments.dicom, folder)
        one = address.of({"StudyInstanceUID": study, "SeriesInstanceUID": series})
        found: dict[str, Any] = {"listed": listed(archive)}
        print(found["listed"], flush=True)
        found["segment"] = segment(arguments.dicom, one, folder, arguments.rounds)
        print(found["segment"]["median"], f"{found['segment']['more']:.1f} s more", flush=True)
        image = Archive(one).list_series()[0].name
        (folder / "plain").mkdir()
        (folder / "fetched").mkdir()
        found["folder_server"] = server(arguments.dicom, image, folder / "plain", 0)
        found["archive_server"] = server(address, image, folder / "fetched", arguments.soak)
        for kind in ("folder_server", "archive_server"):
            print(kind, found[kind], flush=True)
    found |= {"machine": machine(select_device("cpu"), 1), "versions": versions()}
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
