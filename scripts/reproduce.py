"""Train the shipped model again, from a data list to a filled bundle with its figures, on one GPU or, slower, the CPU.

    python benchmarks/protocol.py --data $SEMGAN_DATA --out lists
    python scripts/reproduce.py --data lists/ct.json --out runs/abdomen --part 9m     # again, until it is done
    python scripts/reproduce.py --data lists/ct.json --out runs/abdomen --install     # if it is better than the record
    python scripts/reproduce.py --smoke --out runs/smoke                              # tiny, on generated patients

What is trained, how and for how long stands in the record of the bundle, `models/model.json`, and nowhere else. A
stage that was trained in several pieces is trained in one here, with the settings of the last piece and the images of
all. The record does not tell of the generator's training, which was a prototype's: the stage `gan` takes the settings
of the bundle's `configs/train_gan.json` and `--gan-budget`.

A call goes on where the last one was, and ends after `--part`, with exit code 130 as after Ctrl-C; both save first, and
a kill costs a minute. A volume that is being scored when the part ends is finished. When all is trained, a copy of the
bundle in OUT/bundle is filled and scored on the validation volumes. `reproduce.json` holds figures, versions, machine
and seconds. The bundle itself changes with `--install` only, and only if no mode's mean Dice is below the record's and
one is above, on the same patients.

For a machine that has no volumes, pack the slices where they are (30 MB for 24 CTs), and bring OUT back to be scored:

    python scripts/reproduce.py --data lists/ct.json --pack packed
    python scripts/reproduce.py --data packed --out runs/abdomen --part 9m
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
sys.path[:0] = [str(SCRIPTS.parent), str(SCRIPTS)]

from reproduction.call_time import Part, seconds_of, time_text  # noqa: E402
from reproduction.child import STOPPED  # noqa: E402
from reproduction.console import say  # noqa: E402
from reproduction.installation import install  # noqa: E402
from reproduction.one_call import Reproduction  # noqa: E402
from reproduction.packed_slices import pack  # noqa: E402
from reproduction.smoke import generated_patients, smoke_plan  # noqa: E402
from reproduction.training_plan import read_plan  # noqa: E402

from monai_semgan.bundle.labels import bundle_folder  # noqa: E402
from monai_semgan.errors import Cancelled, SemganError  # noqa: E402


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, metavar="LIST", help="data list (JSON), or packed slices")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of everything that is made")
    parser.add_argument("--part", type=time_text, metavar="TIME", help="end this call after a time such as 9m")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="whose record is followed (default: the shipped)")
    parser.add_argument("--gan-budget", type=time_text, default="25m", metavar="TIME", help="(default 25m)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument("--install", action="store_true", help="replace the bundle if the figures are better")
    parser.add_argument("--pack", type=Path, metavar="DIR", help="only pack the slices, for a machine without volumes")
    parser.add_argument("--smoke", action="store_true", help="tiny networks, three steps, patients made in code")
    arguments = parser.parse_args(argv)
    if (arguments.data is None) == (not arguments.smoke):
        parser.error("give --data LIST, or --smoke")
    if arguments.out is None and arguments.pack is None:
        parser.error("give --out DIR, or --pack DIR")
    if arguments.data is not None and not arguments.data.exists():
        parser.error(f"{arguments.data}: no such data list or folder of packed slices")
    return arguments


def work(arguments: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    bundle = bundle_folder(arguments.bundle).resolve()
    plan = read_plan(bundle, arguments.gan_budget)
    if arguments.smoke:
        plan = smoke_plan(plan)
        arguments.data = generated_patients((arguments.out or arguments.pack) / "patients")
    if arguments.pack is not None:
        pack(arguments.data, arguments.pack, bundle, plan)
        say(f"wrote {arguments.pack}")
        return
    part = Part(None if arguments.part is None else seconds_of(arguments.part))
    reproduction = Reproduction(arguments.out, arguments.data, bundle, plan, part, arguments.device, arguments.smoke)
    reproduction.run()
    if arguments.install:
        install(arguments.out / "bundle", bundle, reproduction.state.content)


def main(argv: Sequence[str] | None = None) -> int:
    """Run, and turn every trouble into one line and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        arguments = parse(argv)
        work(arguments)
    except (KeyboardInterrupt, Cancelled):
        say("stopped; the same command goes on")
        return STOPPED
    except SemganError as error:
        print(f"reproduce: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
