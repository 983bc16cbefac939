"""Figures of a day in the reading room: a server under what many clients, large folders and bad connections do to it.

    python benchmarks/reading_room.py --data $SEMGAN_DATA --out reading_room.json
    python benchmarks/reading_room.py --data $SEMGAN_DATA --parts studies connections

In the environment of the extra `label`. Every part starts a `semgan serve` of its own on a folder that it makes. Prints
a table for docs/label_server.md; a figure that misses what is asked ends with exit code 1. The loop of the extension
(open, preview, edit, submit, next sample, reload) is `benchmarks/reading_room_loop.py`, in that of the extension.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nibabel
import numpy as np
from label_client import MEGABYTE, Client, Latencies, MemoryWatch, resident, serving

from monai_semgan.utils.device import select_device
from monai_semgan.utils.versions import machine, versions

PAUSE = 0.05
DATASET_BYTES = 10**9
IMAGES = 5000
HALF_OPEN = 512
UPLOADS = 24
SETTLED_SECONDS = 5.0
"""After this time a server does nothing any more of itself."""


@dataclass(frozen=True)
class Figure:
    """Something measured.

    Attributes:
        name: what.
        asked: the largest value that is good.
        measured: the value.
        unit: of both.
    """

    name: str
    asked: float
    measured: float
    unit: str

    @property
    def good(self) -> bool:
        """Whether it is what was asked."""
        return self.measured <= self.asked


def preview_during_inversion(data: Path, folder: Path) -> list[Figure]:
    """Seconds until a preview begins that is asked for while the only worker inverts another scan."""
    studies = _studies(folder, {"ct": _scan(data, "ct_00"), "other": _scan(data, "ct_12")})
    with serving(studies, *ANY_PORT) as server:
        client = Client(server.address)
        client.wait_until_warm()
        inversion = client.submit(image="ct", mode="invert")
        _wait(client, inversion, lambda job: job["step"] >= 1)
        asked = time.perf_counter()
        preview = client.submit(image="other", mode="preview")
        _wait(client, preview, lambda job: job["started"] is not None or job["finished"] is not None)
        begun = time.perf_counter() - asked
        ended = client.wait(preview)
        goes_on = client.get(f"/semgan/jobs/{inversion}")
        assert ended["state"] == "done", ended
        assert goes_on["finished"] is None, goes_on
        client.ask("POST", f"/semgan/jobs/{inversion}/cancel")
        client.wait(inversion)
    return [Figure("preview asked for during an inversion begins after", 2.0, begun, "s")]


def answers_during_dataset(data: Path, folder: Path) -> list[Figure]:
    """95th percentile of `/info/` while somebody fetches all labelled images."""
    size = 1 + DATASET_BYTES // IMAGE_BYTES
    studies = _studies(folder, {f"scan{number:03d}": _noise(number) for number in range(size)})
    with serving(studies, *ANY_PORT) as server:
        client, latencies = Client(server.address), Latencies()
        client.wait_until_warm()
        label = folder / "label.nii.gz"
        nibabel.save(nibabel.Nifti1Image(_block(), np.eye(4)), label)
        for number in range(size):
            with label.open("rb") as stream:
                client.ask(
                    "PUT",
                    "/datastore/label",
                    params={"image": f"scan{number:03d}", "tag": "final"},
                    files={"label": ("label.nii.gz", stream)},
                )
        received: list[int] = []
        fetching = threading.Thread(target=_fetch_dataset, args=(server.address, received))
        fetching.start()
        while fetching.is_alive():
            with latencies.timed("info"):
                client.get("/info/")
            time.sleep(PAUSE)
        assert received and received[0] > DATASET_BYTES, f"the data set came with {received} bytes"
    slow = latencies.summary()["info"]["p95_ms"]
    return [
        Figure(
            f"`/info/` while {DATASET_BYTES / 1e9:.0f} GB of data set are fetched, 95th percentile", 50.0, slow, "ms"
        )
    ]


def large_folder(data: Path, folder: Path) -> list[Figure]:
    """Seconds until a server with 5,000 images answers, new ones and known ones, and until it has listed them."""
    studies, image = folder / "studies", folder / "image.nii.gz"
    studies.mkdir()
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), image)
    content = image.read_bytes()
    for number in range(IMAGES):
        (studies / f"scan_{number:05d}.nii.gz").write_bytes(content)
    with serving(studies, *ANY_PORT) as server:
        Client(server.address).get("/info/")
        first = time.perf_counter() - server.started
    with serving(studies, *ANY_PORT) as server:
        client = Client(server.address)
        client.get("/info/")
        begun = time.perf_counter() - server.started
        started = time.perf_counter()
        listed = client.get("/datastore/?output=all")
        seconds = time.perf_counter() - started
    assert len(listed["objects"]) == IMAGES, f"{len(listed['objects'])} images are listed"
    return [
        Figure(f"server with {IMAGES} images answers after", 5.0, begun, "s"),
        Figure("... at its first start, which makes the list", 5.0, first, "s"),
        Figure(f"{IMAGES} images are listed in", 1.0, seconds, "s"),
    ]


def half_open_connections(data: Path, folder: Path) -> list[Figure]:
    """Longest wait of a client while others hold connections that never become a request."""
    studies = _studies(folder, {"scan": _noise(0)})
    with serving(studies, *ANY_PORT) as server, ExitStack() as held:
        client, latencies = Client(server.address), Latencies()
        client.wait_until_warm()
        parts = urlsplit(server.address)
        for _ in range(HALF_OPEN):
            one = held.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=10))
            one.settimeout(None)
            with suppress(OSError):  # the server may have closed it already, which is what it should do some time
                one.sendall(b"GET /info/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
        for _ in range(50):
            with latencies.timed("info"):
                Client(server.address).get("/info/")  # a new connection each time
            time.sleep(PAUSE)
    longest = latencies.summary()["info"]["max_ms"] / 1000
    return [Figure(f"longest answer beside {HALF_OPEN} half-open connections", 1.0, longest, "s")]


def uploads_at_once(data: Path, folder: Path) -> list[Figure]:
    """Memory above that of an idle server while many clients send scans."""
    studies = _studies(folder, {"scan": _noise(0)})
    sent = folder / "sent.nii.gz"
    sent.write_bytes(_scan(data, "ct_00").read_bytes())
    with serving(studies, *ANY_PORT) as server:
        Client(server.address).wait_until_warm()
        time.sleep(SETTLED_SECONDS)
        idle = resident(server.process)
        with MemoryWatch(server.process, 0.05) as watch, ThreadPoolExecutor(UPLOADS) as pool:
            found = list(pool.map(lambda _: Client(server.address).upload(sent), range(UPLOADS)))
        assert len(set(found)) == UPLOADS
    above = (watch.peak - idle) / MEGABYTE
    return [Figure(f"memory above idle with {UPLOADS} uploads at once", 800.0, above, "MB")]


PARTS: dict[str, Callable[[Path, Path], list[Figure]]] = {
    "turns": preview_during_inversion,
    "dataset": answers_during_dataset,
    "studies": large_folder,
    "connections": half_open_connections,
    "uploads": uploads_at_once,
}
ANY_PORT = ("--port", "0")
IMAGE_SHAPE = (256, 256, 160)
IMAGE_BYTES = 2 * 256 * 256 * 160


def _scan(data: Path, name: str) -> Path:
    folder = "abdomen_ct" if name.startswith("ct") else "abdomen_mr_t2"
    return data / folder / "images" / f"{name}.nii.gz"


def _noise(number: int) -> nibabel.Nifti1Image:
    """An image of random values, which no compression makes smaller."""
    values = np.random.default_rng(number).integers(-1000, 1000, IMAGE_SHAPE, dtype=np.int16)
    return nibabel.Nifti1Image(values, np.eye(4))


def _block() -> np.ndarray:
    label = np.zeros(IMAGE_SHAPE, np.uint8)
    label[60:120, 60:120, 40:80] = 1
    return label


def _studies(folder: Path, images: dict[str, Any]) -> Path:
    """Make a folder of scans, from files or images."""
    studies = folder / "studies"
    studies.mkdir()
    for name, image in images.items():
        if isinstance(image, Path):
            (studies / f"{name}.nii.gz").write_bytes(image.read_bytes())
        else:
            nibabel.save(image, studies / f"{name}.nii")
    return studies


def _wait(client: Client, job: str, until: Callable[[dict[str, Any]], bool]) -> None:
    while not until(client.get(f"/semgan/jobs/{job}")):
        time.sleep(PAUSE)


def _fetch_dataset(address: str, received: list[int]) -> None:
    """Fetch the data set as a slow reader's program does: block by block, kept nowhere."""
    with Client(address).ask("GET", "/datastore/dataset", stream=True, timeout=600) as answer:
        received.append(sum(len(block) for block in answer.iter_content(MEGABYTE)))


def table(figures: list[Figure]) -> str:
    """Markdown."""
    lines = ["| figure | asked | measured |", "|---|---|---|"]
    for one in figures:
        places = 2 if one.measured < 10 else 0
        missed = "" if one.good else " (missed)"
        lines.append(f"| {one.name} | {one.asked:g} {one.unit} | {one.measured:.{places}f} {one.unit}{missed} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write; 1 if a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="with abdomen_ct and abdomen_mr_t2")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--out", type=Path, help="JSON")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    for part in arguments.parts:
        with tempfile.TemporaryDirectory() as folder:
            found = PARTS[part](arguments.data, Path(folder))
        figures += found
        print(table(found), flush=True)
    if arguments.out:
        about = machine(select_device("cpu"), 1) | {"load_average": os.getloadavg()}
        record = {"figures": [asdict(one) for one in figures], "machine": about, "versions": versions()}
        arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return int(not all(one.good for one in figures))


if __name__ == "__main__":
    sys.exit(main())
