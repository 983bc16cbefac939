"""Errors of `python -m monai.bundle` in one readable line."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.utils.threads import prepare_threads
from monai_semgan.workflows.command_line import command_options, configuration, is_monai_bundle

MAKING = re.compile(r"Failed to (?:instantiate component '(.+?)'|evaluate ConfigExpression:\s*\"(.+)\")", re.DOTALL)
"""How MONAI says which component or expression of a configuration failed."""


def one_line_errors(arguments: Sequence[str] | None = None) -> None:
    """From now on, tell an error that ends `monai.bundle` in one line on stderr.

    MONAI shows a traceback of its own parser around everything that goes wrong in a configuration. What a user can mend
    is told without one; of any other error, the last line tells what went wrong first. Both name the id in the
    configuration. The number of threads of such a program is chosen here too. Other programs that use a bundle, such as
    servers, are left as they are.

    Args:
        arguments: of the program; those of this process when left out.
    """
    program = sys.argv if arguments is None else arguments
    if is_monai_bundle(program):
        sys.excepthook = tell
        # a program of this package's, begun by MONAI: PyTorch is loaded, but how many threads it has can be chosen
        prepare_threads(lasting="train" in str(command_options(program).get("config_file", "")))


def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write the line; what Python calls with an exception that nobody caught."""
    chain = list(_chain(error))
    cause = next((one for one in chain if isinstance(one, SemganError)), chain[-1])
    place = _place(chain, sys.argv)
    where = f" (at {place})" if place else ""
    if isinstance(cause, SemganError):
        line = f"{cause}{where}"
    elif isinstance(error, KeyboardInterrupt) or isinstance(cause, Cancelled):
        line = f"interrupted; {cause}" if str(cause) else "interrupted"
    else:
        traceback.print_exception(kind, error, trace)
        remedy = "correct this value in the configuration or on the command line" if place else "see above"
        line = f"{type(cause).__name__}: {' '.join(str(cause).split())[:300]}; {remedy}{where}"
    sys.stderr.write(f"monai.bundle: error: {line}\n")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, and what led to it, the first cause last."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _place(chain: Sequence[BaseException], arguments: Sequence[str]) -> str:
    """Id of the innermost part of the configuration that failed; empty if that cannot be told."""
    options = command_options(arguments)
    if "config_file" not in options:
        return ""
    sections = [*options.items(), *_sections(configuration(options))]
    for match in (MAKING.search(str(error)) for error in reversed(chain)):
        wanted = match and (match[1] or match[2])
        found = [name for name, content in sections if wanted and _names(content, wanted)]
        if found:
            return found[0]
    return ""


def _names(content: Any, wanted: str) -> bool:
    """Whether a part of a configuration is the expression that is looked for, or makes that component."""
    return content == wanted or (isinstance(content, dict) and content.get("_target_") == wanted)


def _sections(config: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """All parts of a configuration with their ids."""
    if place:
        yield place, config
    items = config.items() if isinstance(config, dict) else enumerate(config if isinstance(config, list) else ())
    for name, part in items:
        yield from _sections(part, f"{place}#{name}" if place else str(name))
