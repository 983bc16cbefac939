"""Load of a label server: clients that poll and jobs that are queued; any error ends with exit code 1.

    python benchmarks/label_load.py --studies DIR --seconds 300 --out load.json
    python benchmarks/label_load.py --address http://127.0.0.1:8000 --image scan --seconds 30

In the environment of the extra `label`. Without `--address` a `semgan serve` is started on the studies. Clients ask
for everything that a viewer asks for; a further one keeps as many jobs unfinished as told, with previews and
inversions in turn, cancels every fourth, fetches what they give and removes them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import requests
from label_client import ENDED, Client, Latencies, serving

PAUSE = 0.5
"""Seconds that a client waits between two rounds."""


class Load:
    """What all clients share.

    Args:
        address: of the server.
        images: ids that jobs are made for, in turn.
        jobs: how many are kept unfinished.
        steps: of inversions; None for the model's own.
    """

    def __init__(self, address: str, images: list[str], jobs: int, steps: int | None) -> None:
        self.address, self.images, self.jobs, self.steps = address, images, jobs, steps
        self.over = threading.Event()
        self.latencies, self.states = Latencies(), Counter[str]()
        self.errors: list[str] = []

    def attempt(self, work: Any) -> None:
        """Repeat something until the time is over; whatever goes wrong is noted."""
        client = Client(self.address)
        while not self.over.is_set():
            try:
                work(client)
            except (requests.RequestException, ValueError, KeyError) as error:
                self.errors.append(f"{type(error).__name__}: {error}")
            self.over.wait(PAUSE)

    def ask(self, client: Client, name: str, path: str) -> Any:
        """Ask, and note how long it took."""
        with self.latencies.timed(name):
            return client.get(path)

    def poll(self, client: Client) -> None:
        """One round of a client that watches."""
        self.ask(client, "info", "/info/")
        self.ask(client, "health", "/semgan/health")
        for job in self.ask(client, "jobs", "/semgan/jobs")["jobs"][: self.jobs]:
            with self.latencies.timed("job"):  # another client may have removed it
                answer = client.session.get(f"{self.address}/semgan/jobs/{job['id']}", timeout=120)
            if answer.status_code != 404:
                answer.raise_for_status()

    def submit(self) -> None:
        """Keep jobs queued until the time is over, then cancel what is left and wait for its end."""
        client, kinds, mine = Client(self.address), itertools.count(), list[str]()

        def round_of(client: Client) -> None:
            while len(mine) < self.jobs:
                mine.append(client.submit(**self._request(number := next(kinds))))
                if number % 4 == 3:
                    client.ask("POST", f"/semgan/jobs/{mine[-1]}/cancel")
            for job in list(mine):
                state = self.ask(client, "job", f"/semgan/jobs/{job}")
                if state["state"] in ENDED:
                    mine.remove(job)
                    self._finish(client, state)

        self.attempt(round_of)
        for job in mine:
            client.session.post(f"{self.address}/semgan/jobs/{job}/cancel", timeout=120)  # refused if it has just ended
            self._finish(client, client.wait(job))

    def _request(self, number: int) -> dict[str, Any]:
        request: dict[str, Any] = {"image": self.images[number % len(self.images)], "mode": "preview"}
        return request if number % 2 else {**request, "mode": "invert", "steps": self.steps}

    def _finish(self, client: Client, state: dict[str, Any]) -> None:
        """Fetch what a job gave and remove it."""
        self.states[state["state"]] += 1
        if state["state"] not in ("done", "cancelled"):
            self.errors.append(f"job {state['state']}: {state['message']}")
        for part in state["parts"]:
            with self.latencies.timed("part"):
                client.ask("GET", f"/semgan/jobs/{state['id']}/result/{part}")
        client.ask("DELETE", f"/semgan/jobs/{state['id']}")


def run(load: Load, clients: int, seconds: float) -> dict[str, Any]:
    """Run the load for a while.

    Returns:
        Numbers of requests and errors, the first errors, jobs by state, latencies.
    """
    threads = [threading.Thread(target=load.attempt, args=(load.poll,)) for _ in range(clients)]
    threads.append(threading.Thread(target=load.submit))
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    load.over.set()
    for thread in threads:
        thread.join()
    latencies = load.latencies.summary()
    return {
        "seconds": seconds,
        "clients": clients,
        "jobs_queued": load.jobs,
        "requests": sum(int(one["requests"]) for one in latencies.values()),
        "errors": len(load.errors),
        "first_errors": load.errors[:5],
        "jobs": dict(load.states),
        "latencies": latencies,
    }


def load_of(arguments: argparse.Namespace, address: str) -> dict[str, Any]:
    """Wait until the model is warm, then run."""
    client = Client(address)
    images = arguments.image or sorted(client.get("/datastore/?output=all")["objects"])
    client.wait_until_warm()
    return run(Load(address, images, arguments.jobs, arguments.steps), arguments.clients, arguments.seconds)


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--address", help="of a server that runs")
    where.add_argument("--studies", type=Path, help="folder that a server is started on")
    parser.add_argument("--bundle", type=Path, help="of a server that is started")
    parser.add_argument("--image", action="append", help="id that jobs are made for; all when left out")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=None, help="of inversions")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    if arguments.address:
        found = load_of(arguments, arguments.address)
    else:
        options = ["--bundle", str(arguments.bundle)] if arguments.bundle else []
        with serving(arguments.studies, *options) as server:
            found = load_of(arguments, server.address)
    text = json.dumps(found, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    raise SystemExit(1 if found["errors"] else 0)


if __name__ == "__main__":
    main()
