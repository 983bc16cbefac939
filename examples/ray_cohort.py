"""A Ray cluster shares a cohort: every worker loads the model once and takes scans as it becomes free.

    pip install ray
    python examples/ray_cohort.py /data/scans /data/organs --workers 16

All machines see both folders under the same names. Results, records and `cohort.csv` are those of `semgan segment`, so
either goes on where the other stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ray
from ray.util import ActorPool

from monai_semgan.cohort.cases import find_cases
from monai_semgan.cohort.records import load_record, write_summary
from monai_semgan.cohort.running import CaseRunner
from monai_semgan.cohort.settings import CohortSettings, case_key


def main() -> None:
    """Segment what is not finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path, help="folder of scans, or data list")
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--cpus", type=int, default=2, help="of each worker")
    parser.add_argument("--bundle", type=Path)
    arguments = parser.parse_args()
    output = arguments.output.resolve()
    (output / ".cohort").mkdir(parents=True, exist_ok=True)
    settings = CohortSettings(bundle=arguments.bundle)
    cases, key = find_cases(arguments.input.resolve(), output).cases, settings.key()
    records = {case.name: load_record(output, case.name) for case in cases}
    todo = [case for case in cases if not _finished(records[case.name], case_key(key, case), output)]
    ray.init()
    runner = ray.remote(num_cpus=arguments.cpus)(CaseRunner)
    pool = ActorPool([runner.remote(settings, output) for _ in range(min(arguments.workers, len(todo)))])
    organs: list[str] = []
    for record in pool.map_unordered(lambda worker, case: worker.run.remote(case), todo):
        organs = organs or list(record.volumes_ml)
        print(f"{record.case}: {record.status} in {record.seconds:.1f} s {record.message}", flush=True)
    if todo:
        print(f"wrote {write_summary(output, cases, organs)}")


def _finished(record: object, key: str, output: Path) -> bool:
    return record is not None and record.finished(key, output)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
