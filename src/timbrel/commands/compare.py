"""`timbrel compare RUN RUN ...`: one page on what differs, and a short answer here."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from timbrel.audio.names import file_name
from timbrel.commands.terminal import Parser
from timbrel.errors import UserError
from timbrel.files import check_room
from timbrel.paths import user_path
from timbrel.runs.finder import locate
from timbrel.runs.folder import read_run

_MOST_RUNS = 6
_LONGEST_NAME_BYTES = 120
_DATED = re.compile(r"^\d{4}-\d\d-\d\d_\d{6}_")


def main(argv: Sequence[str], program: str = "timbrel compare") -> int:
    """The exit status of `timbrel compare ...`. Raises UserError for a mistake of the user's."""
    parser = Parser(
        program,
        description="Compares two to six runs: a page with what differs, scores with intervals, "
        "curves, and the test files to hear side by side.",
        epilog="RUN is a run folder, a model bundle, or a part of a run's name that no other has.",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument(
        "--output",
        metavar="FILE.html",
        help="the page to write (default: outputs/compare_<names>.html, numbered where taken)",
    )
    given = parser.parse_intermixed_args(list(argv))
    if len(given.runs) < 2:
        raise UserError(f"{program.removeprefix('timbrel ')}: name two runs or more to compare")
    if len(given.runs) > _MOST_RUNS:
        raise UserError(f"{len(given.runs)} runs: {_MOST_RUNS} at most fit on a page; name fewer")
    folders = [locate(text) for text in given.runs]
    for index, folder in enumerate(folders):
        if folder.resolve() in [other.resolve() for other in folders[:index]]:
            raise UserError(f"'{folder}' is named twice; name two different runs")
    output = _target(given.output, [folder.resolve().name for folder in folders])
    check_room(output.parent, advice="name another place by --output=FILE.html")
    runs = [read_run(folder) for folder in folders]

    # Below, so that mistakes are told before the drawing libraries are loaded.
    from timbrel.report.comparison import summary, write_comparison

    path = write_comparison(runs, output)
    sys.stdout.write(summary(runs) + f"page: {path}\n")
    return 0


def _target(given: str | None, names: Sequence[str]) -> Path:
    """The file named, which must not exist; else a free name under outputs/."""
    if given is not None:
        path = user_path(given, "--output")
        if path.suffix.lower() not in (".html", ".htm"):
            raise UserError(f"--output={given}: name a file that ends in .html")
        if path.exists():
            raise UserError(f"--output={given} exists; remove it or name another")
        return path
    short = [_DATED.sub("", name) for name in names]
    # Two trainings of one kind differ in their date alone.
    kept = [
        name if short.count(brief) > 1 else brief for name, brief in zip(names, short, strict=True)
    ]
    stem = file_name("compare_" + "_or_".join(kept), _LONGEST_NAME_BYTES)
    number = 1
    while (path := Path("outputs", f"{stem}{'' if number == 1 else f'-{number}'}.html")).exists():
        number += 1
    return path
