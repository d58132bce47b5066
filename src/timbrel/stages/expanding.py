"""The variants that `augmentation.expansion` asks for, rendered before a training begins."""

import sys
import time
from collections.abc import Sequence

from omegaconf import DictConfig

from timbrel.data.ahead.expansion import expand, plan
from timbrel.data.augmentation import Augment
from timbrel.data.cache.store import Cache
from timbrel.data.chunks.chunk import Variant
from timbrel.stages.recordings import Recordings
from timbrel.words import duration


def expanded(
    config: DictConfig, augment: Augment, found: Recordings, *, only_told: bool = False
) -> Sequence[Sequence[Variant]] | None:
    """The variants of every training segment; None where none are asked for, or `only_told`.

    Raises UserError as `timbrel.data.ahead.expansion.expand`.
    """
    if not augment.expansion:
        return None
    expansion = plan(
        found.split.train,
        augment.ahead,
        count=augment.expansion,
        seed=config.seed,
        folder=Cache(config.data.cache_dir).folder,
    )
    started_s = time.monotonic()
    missing = len(expansion.missing())
    expand(expansion, _tell, only_told=only_told)
    if only_told:
        return None
    if missing:
        sys.stderr.write(
            f"rendered {missing} variants in {duration(time.monotonic() - started_s)}\n"
        )
    return expansion.variants()


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
