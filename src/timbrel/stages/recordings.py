"""From `data=...` to clips and their parts: what inspect and train share."""

import sys
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from timbrel.data.cache.store import Cache, Clip
from timbrel.data.demo.demo_set import ensure_demo_set
from timbrel.data.scan.catalog import Catalog, scan
from timbrel.data.scan.verdicts import Verdict
from timbrel.data.split.parts import Split, SplitPlan, TooFewError, split_clips
from timbrel.data.split.train_part import draw_train_files, with_further
from timbrel.errors import UserError
from timbrel.paths import user_path
from timbrel.stages.progress import decoded_recordings, scanned_files
from timbrel.words import printable


@dataclass(frozen=True)
class Recordings:
    """A scanned, decoded and split data set."""

    catalog: Catalog
    clips: tuple[Clip, ...]
    split: Split


def data_root(data: DictConfig) -> Path:
    """The folder of recordings; the demo set is rendered where it is not there yet."""
    if data.kind == "demo":
        return ensure_demo_set(
            files=data.files, sample_rate_hz=data.sample_rate_hz, cache_dir=data.cache_dir
        )
    return user_path(data.root, "data.root").resolve()


def normalisation(data: DictConfig) -> str:
    """What the front end does to levels: "none", or what `data.normalise` names."""
    return str(data.normalise or "none")


def scanned(data: DictConfig, *, workers: int | None = None) -> Catalog:
    """The catalog of the data folder and of `data.also`.

    What an earlier scan learned is not decoded again.
    """
    memory = Cache(data.cache_dir).folder / "catalog"
    return scan(
        data_root(data),
        also=[user_path(text, "data.also").resolve() for text in data.also],
        workers=workers,
        memory=memory,
        include_silent=data.include_silent,
        include_generated=data.include_generated,
        progress=scanned_files(),
    )


def recordings(data: DictConfig, *, seed: int, guard_samples: int) -> Recordings:
    """Scan, decode into the cache, and split; what the user should know goes to stderr.

    Raises:
        UserError: nothing to train on, an unreadable file under `data.skip_unreadable=false`, or a
            split that the recordings do not allow.
    """
    catalog = scanned(data)
    skipped = [file for file in catalog.files if file.verdict is Verdict.SKIP_WARN]
    if skipped and not data.skip_unreadable:
        first = skipped[0]
        raise UserError(
            f"'{catalog.absolute(first)}': {'; '.join(first.reasons)}. Repair or remove it, or set "
            "data.skip_unreadable=true"
        )
    cache = Cache(data.cache_dir)
    clips = cache.ensure(
        catalog,
        sample_rate_hz=data.sample_rate_hz,
        channels=data.channels,
        downmix=str(data.downmix),
        normalise=normalisation(data),
        progress=decoded_recordings(),
    )
    plan = SplitPlan(
        seed=seed,
        validation_fraction=data.validation_fraction,
        test_fraction=data.test_fraction,
        folds=data.folds,
        fold=data.fold,
        split_file=user_path(data.split_file, "data.split_file") if data.split_file else None,
        split_theme=data.split_theme,
        guard_samples=guard_samples,
    )
    try:
        split = _split(catalog, clips, plan)
        if data.train_files is not None:
            split = draw_train_files(split, data.train_files, seed=seed)
    except TooFewError as error:
        raise UserError(f"{error}{_left_out(catalog)}") from error
    _tell(catalog, cache, clips, split, skipped=len(skipped))
    return Recordings(catalog, clips, split)


def _split(catalog: Catalog, clips: tuple[Clip, ...], plan: SplitPlan) -> Split:
    """Further folders are split with the rest; lists govern the data folder alone."""
    folder = catalog.root.name
    further = [clip for clip in clips if catalog.is_further(clip.name)]
    if plan.split_file is None or not further:
        return split_clips(clips, plan, folder=folder)
    listed = [clip for clip in clips if not catalog.is_further(clip.name)]
    return with_further(split_clips(listed, plan, folder=folder), further, plan.split_file)


def _tell(
    catalog: Catalog, cache: Cache, clips: tuple[Clip, ...], split: Split, *, skipped: int
) -> None:
    seconds = sum(clip.duration_s for clip in clips)
    warned = sum(file.verdict is Verdict.ACCEPT_WARN for file in catalog.files)
    parts = ", ".join(f"{len(segments)} {name}" for name, segments in split.parts().items())
    folders = ", ".join(map(str, [catalog.root, *catalog.also.values()]))
    lines = [f"data: {len(clips)} recordings, {seconds:.1f} s, from {folders} ({parts})"]
    if skipped or warned:
        lines.append(f"      {skipped} files left out, {warned} with a warning: {_why(catalog)}")
    lines += [f"      {printable(file.path)}: {file.reasons[0]}" for file in catalog.own_products]
    lines.append(f"cache: {cache.folder} ({cache.size_bytes / 2**20:.1f} MiB)")
    lines += [f"note: {note}" for note in split.notes]
    sys.stderr.write("\n".join(lines) + "\n")


def _left_out(catalog: Catalog) -> str:
    """What did not count, for the end of a sentence that says that there is too little."""
    what = catalog.left_out()
    return f". Of what is there, these were left out: {what} ({_why(catalog)})" if what else ""


def _why(catalog: Catalog) -> str:
    """The command that tells why files were left out."""
    also = ",".join(map(str, catalog.also.values()))
    further = f" data.also='[{also}]'" if also else ""
    return f"timbrel inspect data.root='{catalog.root}'{further} tells why"
