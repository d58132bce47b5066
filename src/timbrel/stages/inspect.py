"""`timbrel inspect`: which files of a folder train, and why others do not."""

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from timbrel import streams
from timbrel.errors import UserError
from timbrel.files import check_room
from timbrel.paths import user_path
from timbrel.stages.app import run_stage

if TYPE_CHECKING:
    from timbrel.data.augmentation import Augment


def main(argv: Sequence[str]) -> int:
    """The stage as the command line calls it; the exit status."""
    return run_stage("inspect", argv, job)


def job(config: DictConfig) -> None:
    """Print the table of the folder's files and write their page; with `output`, a CSV too.

    Raises UserError where `output` or `report` cannot be written or `pitch` lacks its extra (before
    anything is scanned), and what the scan raises.
    """
    target, page = _target(config.output), _page(config.report)
    augment = _augmentation(config)
    if page is not None and config.attributes and str(config.pitch) == "crepe":
        from timbrel.attributes.crepe import check_installed

        check_installed()
    # Inside, so that --help and --cfg need neither numpy nor torch.
    from rich.console import Console

    from timbrel.data.scan.catalog_table import catalog_table
    from timbrel.stages.recordings import normalisation, scanned

    catalog = scanned(config.data, workers=config.workers)
    # Piped, the table has no terminal to fit: nothing of the reasons is cut.
    width = None if sys.stdout.isatty() else 200
    Console(width=width, file=streams.styled()).print(catalog_table(catalog))
    if target is not None:
        catalog.to_csv(target)
        sys.stdout.write(f"wrote {target}: one line per file, every measure\n")
    if page is not None:
        from timbrel.data.cache.store import Cache
        from timbrel.report.data_report import write_data_report
        from timbrel.report.run_listening import normalised_excerpt
        from timbrel.stages.progress import measured_recordings

        advice = write_data_report(
            catalog,
            page,
            name=config.data.name or catalog.root.name,
            cache_folder=Cache(config.data.cache_dir).folder if config.attributes else None,
            workers=config.workers,
            augment=augment,
            pitch=str(config.pitch),
            progress=measured_recordings(),
            hear=partial(
                normalised_excerpt,
                channels=config.data.channels,
                downmix=str(config.data.downmix),
                normalise=normalisation(config.data),
            ),
        )
        # A terminal may not know every character of a folder's name.
        name = os.fspath(page).encode("utf-8", "backslashreplace").decode("utf-8")
        sys.stdout.write(f"{advice.verdict} {advice.sentence}\n")
        if advice.voiced is not None:
            sys.stdout.write(_pitched(advice.voiced))
        sys.stdout.write(f"wrote {name}: waveforms, distributions and what to mend\n")


def _pitched(share: float) -> str:
    """How much of what sounds has a clear pitch, and whether that is enough for a decoder."""
    from timbrel.data.chunks.conditions import MONOPHONIC

    enough = "enough" if share >= MONOPHONIC else "too little"
    return (
        f"{share:.0%} of what sounds has a clear pitch: {enough} for architecture=ddsp, which asks "
        f"for {MONOPHONIC:.0%}\n"
    )


def _augmentation(config: DictConfig) -> "Augment | None":
    """The augmentation to show; None where no transform would ever be applied."""
    section = OmegaConf.to_container(config.augmentation, resolve=True)
    others = (section.get(name) for name in ("mix", "counterfactual", "mask"))
    parts = [*(section.get("transforms") or {}).values(), *others]
    if not any(part and part.get("probability", 1.0) for part in parts):
        return None
    from timbrel.config.targets import check_targets
    from timbrel.stages.built import built

    check_targets(section, "augmentation")
    return built(config.augmentation, "augmentation")


def _target(output: str | None) -> Path | None:
    if output is None:
        return None
    target = user_path(output, "output")
    if target.suffix.lower() != ".csv":
        raise UserError(f"output={output}: this is a CSV file; give a name that ends in .csv")
    if target.is_dir():
        raise UserError(f"output={output}: a folder; name a file")
    if not target.parent.is_dir():
        raise UserError(f"output={output}: no folder {target.parent}; make it first")
    check_room(target.parent, advice="name another place by output=")
    return target


def _page(report: str | None) -> Path | None:
    """Where the page goes; its folder is made when it is written."""
    if report is None:
        return None
    page = user_path(report, "report")
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"report={report}: this is an HTML page; give a name that ends in .html")
    if page.is_dir():
        raise UserError(f"report={report}: a folder; name a file")
    check_room(page.parent, advice="name another place by report=, or report=null")
    return page
