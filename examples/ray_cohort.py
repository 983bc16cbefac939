"""A Ray cluster shares a cohort: every worker loads the model once and takes scans as it becomes free.

    pip install ray
    python examples/ray_cohort.py /data/scans /data/organs --workers 16 --cpus 4

All machines see both folders under the same names, and have `monai_semgan` installed. Results, records and `cohort.csv`
are those of `semgan segment`, so either goes on where the other stopped. Exit code 3 says that some scans failed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import ray
from ray.util import ActorPool

import monai_semgan as sg


def main() -> int:
    """Segment what is not finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path, help="folder of scans, or data list")
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=4, help="at most; no more than the cluster has room for")
    parser.add_argument("--cpus", type=int, default=2, help="of each worker")
    parser.add_argument("--gpus", type=float, default=0, help="of each worker; .5 lets two share one")
    parser.add_argument("--bundle", type=Path)
    arguments = parser.parse_args()
    output = arguments.output.resolve()
    (output / ".cohort").mkdir(parents=True, exist_ok=True)
    settings = sg.CohortSettings(bundle=arguments.bundle)
    cases, key = sg.find_cases(arguments.input.resolve(), output).cases, settings.key()
    todo = [case for case in cases if not finished(case, key, output)]
    print(f"{len(cases)} scans, {len(cases) - len(todo)} finished already", flush=True)
    if todo:
        ray.init()
        workers = min(arguments.workers, len(todo), room(arguments.cpus, arguments.gpus))
        runner = ray.remote(num_cpus=arguments.cpus, num_gpus=arguments.gpus)(sg.CaseRunner)
        pool = ActorPool([runner.remote(settings, output) for _ in range(workers)])
        for record in pool.map_unordered(lambda worker, case: worker.run.remote(case), todo):
            print(f"{record.case}: {record.status} in {record.seconds:.1f} s {record.message}", flush=True)
    records = [record for case in cases if (record := sg.load_record(output, case.name)) is not None]
    organs = next((list(record.volumes_ml) for record in records if record.volumes_ml), [])
    keys = {case.name: sg.case_key(key, case) for case in cases}
    print(f"wrote {sg.write_summary(output, cases, organs, keys)}")
    return 0 if sum(record.status == "done" for record in records) == len(cases) else 3


def finished(case: sg.Case, key: str, output: Path) -> bool:
    """Whether the results of a scan are there, made with these settings."""
    record = sg.load_record(output, case.name)
    return record is not None and record.finished(sg.case_key(key, case), output)


def room(cpus: int, gpus: float) -> int:
    """How many workers the cluster has room for: one that waits for a machine would keep the scan it was given."""
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
