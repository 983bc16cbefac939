"""An archive on loopback that speaks as much DICOMweb as a client needs, and misbehaves as a test wants."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom import dcmread

from monai_semgan.io.dicom.headers import quiet
from tests.dicomweb.odd_answers import Answer, in_parts

ROOT = "/dicom-web"


@dataclass(frozen=True)
class Instance:
    """What the archive knows of an instance; its numbers of tags as QIDO-RS names them."""

    study: str
    series: str
    uid: str
    modality: str
    content: bytes

    @property
    def json(self) -> dict[str, Any]:
        values = {"00080060": self.modality, "0020000D": self.study, "0020000E": self.series, "00080018": self.uid}
        return {tag: {"vr": "UI" if tag != "00080060" else "CS", "Value": [value]} for tag, value in values.items()}


@dataclass(frozen=True)
class Question:
    """A request as it came."""

    kind: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        if self.server.archive.deaf:  # refuses before it has read what comes
            self._serve(b"")
            self._linger()
            return
        if "Content-Length" in self.headers:
            self._serve(self.rfile.read(int(self.headers["Content-Length"])))
            return
        body = b""
        while length := int(self.rfile.readline(), 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        self._serve(body)

    def _serve(self, body: bytes) -> None:
        archive = self.server.archive
        question = Question(archive.kind(self.command, self.path), self.command, self.path, dict(self.headers), body)
        answer = archive.answer(question)
        with suppress(ConnectionError):
            answer.sending(self, answer)

    def begin(self, answer: Answer, **headers: str) -> None:
        """Send all before the body."""
        self.send_response(answer.status)
        for name, value in {"Content-Type": answer.kind, **answer.headers, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _linger(self) -> None:
        """Take what still comes, as servers do that have closed: else the client would not see the answer."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(5)
            while self.connection.recv(1 << 16):
                pass

    def wait_for_the_end(self) -> None:
        """Say nothing until the client has gone, or the archive ends."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.settimeout(0.05)
        while not self.server.archive.ending.is_set():
            try:
                if not self.connection.recv(1):
                    raise ConnectionError
            except TimeoutError:
                continue
            except ConnectionError:
                self.server.archive.left.set()
                return

    def log_message(self, format: str, *rest: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    archive: OddArchive

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class OddArchive:
    """An archive that runs while the block does.

    Args:
        files: DICOM files that it holds.
        host: 127.0.0.1 or ::1.

    Attributes:
        questions: all that came.
        page: entries that it lists at once; all when None.
        heeds_offset: whether a listing begins where it was told to.
        apart: UIDs of instances that do not come with their series.
        lost: UIDs of instances that are listed and do not come at all.
        deaf: whether it answers before it has read an object.
        before_listing: is called before instances are listed.
        left: is set when a client has gone while it was kept waiting.
    """

    def __init__(self, files: Iterable[Path] = (), host: str = "127.0.0.1") -> None:
        self.instances: dict[str, Instance] = {}
        self.questions: list[Question] = []
        self.page: int | None = None
        self.heeds_offset = True
        self.deaf = False
        self.apart: set[str] = set()
        self.lost: set[str] = set()
        self.before_listing: Callable[[], None] = lambda: None
        self.left, self.ending = threading.Event(), threading.Event()
        self._changes: dict[str, tuple[Callable[[Answer], Answer], int | None]] = {}
        self._lock = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        kind = type("Server", (_Server,), {"address_family": family, "archive": self})
        self._server = kind((host, 0), Handler)
        self.netloc = f"[{host}]:{self._server.server_port}" if ":" in host else f"{host}:{self._server.server_port}"
        self.add(files)

    def __enter__(self) -> OddArchive:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://{self.netloc}{ROOT}"

    def add(self, files: Iterable[Path]) -> None:
        """Take files in."""
        for file in files:
            self.take(file.read_bytes())

    def take(self, content: bytes) -> Instance:
        """Take an object in; one that it has already stands twice nowhere."""
        names = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality"]
        with quiet():
            data = dcmread(io.BytesIO(content), specific_tags=names)
            one = Instance(*(str(data[name].value) for name in names), content)
        self.instances[one.uid] = one
        return one

    def spoil(self, kind: str, change: Callable[[Answer], Answer], times: int | None = None) -> None:
        """Change the answers to questions of a kind (`series`, `instances`, `together`, `single`, `store`).

        Args:
            kind: of them.
            change: makes another answer of a right one.
            times: how often; always when None.
        """
        self._changes[kind] = change, times

    def heal(self) -> None:
        """Behave from now on."""
        self._changes.clear()

    def asked(self, kind: str) -> int:
        """Count the questions of a kind."""
        return sum(question.kind == kind for question in self.questions)

    def kind(self, method: str, target: str) -> str:
        """Tell what is asked for."""
        parts = urlsplit(target).path.removeprefix(ROOT).strip("/").split("/")
        if method == "POST":
            return "store"
        kinds = {"series": "series", "instances": "instances"}
        return kinds.get(parts[-1]) or {"series": "together", "instances": "single"}.get(parts[-2], "other")

    def answer(self, question: Question) -> Answer:
        """Answer, spoilt or not."""
        with self._lock:
            self.questions.append(question)
            answer = getattr(self, f"_{question.kind}")(question)
            change, times = self._changes.get(question.kind, (None, None))
            if change is None or times == 0:
                return answer
            self._changes[question.kind] = change, None if times is None else times - 1
            return change(answer)

    def _other(self, question: Question) -> Answer:
        return Answer(404)

    def _series(self, question: Question) -> Answer:
        found: dict[str, dict[str, Any]] = {}
        for one in self._matching(question):
            entry = found.setdefault(one.series, {key: value for key, value in one.json.items() if key != "00080018"})
            count = entry.setdefault("00201209", {"vr": "IS", "Value": [0]})
            count["Value"][0] += 1
        return self._listed(question, list(found.values()))

    def _instances(self, question: Question) -> Answer:
        self.before_listing()
        return self._listed(question, [one.json for one in self._matching(question)])

    def _listed(self, question: Question, entries: list[dict[str, Any]]) -> Answer:
        query = parse_qs(urlsplit(question.target).query)
        start = int(query.get("offset", ["0"])[0]) if self.heeds_offset else 0
        count = min(int(query.get("limit", ["1000000"])[0]), self.page or 1_000_000)
        return Answer(body=json.dumps(entries[start : start + count]).encode())

    def _together(self, question: Question) -> Answer:
        found = [one for one in self._matching(question) if one.uid not in self.apart | self.lost]
        return in_parts([one.content for one in found]) if found else Answer(404)

    def _single(self, question: Question) -> Answer:
        found = [one for one in self._matching(question) if one.uid not in self.lost]
        return in_parts([found[0].content]) if found else Answer(404)

    def _store(self, question: Question) -> Answer:
        if self.deaf:
            return Answer(413)
        head = f"Content-Type: {question.headers['Content-Type']}\r\n\r\n".encode()
        stored = []
        for part in message_from_bytes(head + question.body, policy=HTTP).iter_parts():
            one = self.take(part.get_payload(decode=True))
            stored.append({"00081155": {"vr": "UI", "Value": [one.uid]}})
        return Answer(body=json.dumps({"00081199": {"vr": "SQ", "Value": stored}}).encode())

    def _matching(self, question: Question) -> list[Instance]:
        parts = urlsplit(question.target).path.removeprefix(ROOT).strip("/").split("/")
        query = parse_qs(urlsplit(question.target).query)
        wanted = dict(zip(parts[::2], parts[1::2], strict=False))
        names = {"study": ("studies", "StudyInstanceUID"), "series": ("series", "SeriesInstanceUID")}
        names |= {"uid": ("instances", "SOPInstanceUID"), "modality": ("", "Modality")}
        for name, (path, keyword) in names.items():
            if keyword in query:
                wanted[name] = query[keyword][0]
            elif path in wanted:
                wanted[name] = wanted[path]
        return [
            one
            for one in self.instances.values()
            if all(getattr(one, name) == wanted[name] for name in names if wanted.get(name))
        ]
