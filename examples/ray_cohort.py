"""A Ray cluster shares a cohort: every worker loads the model once and takes scans as it becomes free.

    pip install "ray>=2.60,<3"
    python examples/ray_cohort.py /data/scans /data/organs --workers 16 --cpus 4 --address auto
    python examples/ray_cohort.py "dicomweb:https://pacs/rs?Modality=CT" /data/organs --send --address auto

All machines see the folders under the same names, and have `monai_semgan` installed. Without `--address` (or
`$RAY_ADDRESS`) Ray runs on this machine alone, and listens to nobody else. User, password or token of an archive are
read from the environment of each machine: set `SEMGAN_ARCHIVE_USER` and its kin before `ray start`.

Results, records and `cohort.csv` are those of `semgan segment`, so either goes on where the other stopped. A worker
that dies is replaced and its scan done again; a scan at which three have died is recorded as failed. Exit code 3 says
that some scans failed or were not sent.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import monai_semgan as sg

FRUITLESS = 6
"""Workers that may die one after the other without a scan in between: more would die of the same."""


def main() -> int:
    """Segment what is not finished."""
    arguments = parse()
    output = arguments.output.resolve()
    (output / ".cohort").mkdir(parents=True, exist_ok=True)
    ending = arguments.format or ("dcm" if arguments.send else "nii.gz")
    settings = sg.CohortSettings(arguments.bundle, mode=arguments.mode, format=ending, send=arguments.send)
    cases = sg.find_cases(source_of(arguments.input), output).cases
    key = settings.key()
    todo = [case for case in cases if not finished(case, key, output, arguments.send)]
    print(f"{len(cases)} scans, {len(cases) - len(todo)} finished already", flush=True)
    if todo:
        start_ray(arguments.address)
        import ray

        count = min(arguments.workers, len(todo), room(arguments.cpus, arguments.gpus))
        worker = ray.remote(num_cpus=arguments.cpus, num_gpus=arguments.gpus)(sg.CaseRunner)
        for record in work(todo, lambda: worker.remote(settings, output), count):
            sent = f" {record.sent}" if record.sent else ""
            print(f"{record.case}: {record.status} in {record.seconds:.1f} s {record.message}{sent}", flush=True)
    records = [record for case in cases if (record := sg.load_record(output, case.name)) is not None]
    organs = next((list(record.volumes_ml) for record in records if record.volumes_ml), [])
    keys = {case.name: sg.case_key(key, case) for case in cases}
    print(f"wrote {sg.write_summary(output, cases, organs, keys)}")
    return 0 if all(finished(case, key, output, arguments.send) for case in cases) else 3


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", help="folder of scans, data list, or dicomweb:URL")
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=4, help="at most; no more than the cluster has room for")
    parser.add_argument("--cpus", type=int, default=2, help="of each worker")
    parser.add_argument("--gpus", type=float, default=0, help="of each worker; .5 lets two share one")
    parser.add_argument("--address", default=os.environ.get("RAY_ADDRESS"), help="of a cluster; auto for that of here")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--mode", default="preview", help="as of semgan segment")
    parser.add_argument("--format", help="ending of the labels, as of semgan segment")
    parser.add_argument("--send", action="store_true", help="store results in the archive of the scans")
    arguments = parser.parse_args()
    if arguments.send and not arguments.input.startswith("dicomweb:"):
        parser.error("--send is for scans of an archive")
    return arguments


def source_of(text: str) -> Any:
    """What to look for scans in."""
    if not text.startswith("dicomweb:"):
        return Path(text).resolve()
    from monai_semgan.dicomweb.archive_address import parse_address

    return parse_address(text)


def start_ray(address: str | None) -> None:
    """Join a cluster, or make one of this machine that nobody else can reach."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not address:  # Ray reads both when it is imported; this one, of whatever system, makes it listen on 127.0.0.1
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray

    ray.init(address or "local", include_dashboard=None if address else False, log_to_driver=False)
    print(f"Ray at {ray.util.get_node_ip_address()}", flush=True)


def work(todo: Sequence[sg.Case], make_worker: Any, count: int) -> Iterator[sg.Record]:
    """Give out scans, and replace workers that die: `run_once` looks what another one has left."""
    import ray

    waiting, busy = deque(todo), {}
    fruitless = 0
    idle = [make_worker() for _ in range(count)]
    while waiting or busy:
        while waiting and idle:
            worker, case = idle.pop(), waiting.popleft()
            busy[worker.run_once.remote(case)] = worker, case
        (answer,), _ = ray.wait(list(busy))
        worker, case = busy.pop(answer)
        try:
            record = ray.get(answer)
        except ray.exceptions.RayActorError as error:
            fruitless += 1
            if fruitless > FRUITLESS:
                sys.exit(f"{fruitless} workers died one after the other without a result; the last: {error}")
            waiting.appendleft(case)
            idle.append(make_worker())
            continue
        except ray.exceptions.RayTaskError as error:  # going on makes no sense: the disk is full
            sys.exit(f"{case.name}: {error.cause}")
        fruitless = 0
        idle.append(worker)
        yield record


def finished(case: sg.Case, key: str, output: Path, send: bool) -> bool:
    """Whether the results of a scan are there, made with these settings, and sent if they are to be."""
    record = sg.load_record(output, case.name)
    if record is None or not record.finished(sg.case_key(key, case), output):
        return False
    return not send or record.sent == "sent"


def room(cpus: int, gpus: float) -> int:
    """How many workers the cluster has room for: one that waits for a machine would keep the scan it was given."""
    import ray

    fitting = 0
    for node in ray.nodes():
        has = node["Resources"] if node["Alive"] else {}
        places = [int(has.get(kind, 0) // wanted) for kind, wanted in (("CPU", cpus), ("GPU", gpus)) if wanted]
        fitting += min(places, default=0)
    if not fitting:
        sys.exit(f"no machine of the cluster has {cpus} CPUs and {gpus:g} GPUs free for a worker")
    return fitting


if __name__ == "__main__":
    sys.exit(main())
