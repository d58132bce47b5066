"""`timbrel generate source=keys`: a folder of samples, a table of them, and an SFZ file."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from timbrel.audio.names import file_name
from timbrel.audio.origin import comment_in, comment_of
from timbrel.audio.sfz import Region, sfz_text
from timbrel.config.keys import key_name, key_numbers
from timbrel.errors import UserError
from timbrel.files import write_text
from timbrel.stages.line_table import LineTable, digest_of, part_digest
from timbrel.stages.sound_files import Target
from timbrel.words import printable

if TYPE_CHECKING:
    from timbrel.audio.export import ExportSettings
    from timbrel.library.instrument import Instrument
    from timbrel.library.render_settings import RenderSettings
    from timbrel.library.sampler import Place, Sampler

_COLUMNS = (
    "file",
    "key",
    "note",
    "velocity",
    "take",
    "seconds",
    "cents",
    "tune_cents",
    "loudness_lufs",
    "volume_db",
    "peak_dbtp",
    "loop_start",
    "loop_end",
    "loop_match",
    "settings",
)
_STEM_BYTES = 60


def write_sampler(
    config: DictConfig,
    instrument: "Instrument",
    settings: "RenderSettings",
    asked: Mapping[str, float],
    export_settings: "ExportSettings",
    target: Target,
) -> list[Path]:
    """The files written: samples that the folder does not hold, and the SFZ file.

    A sample is done where its line stands in the table, and its file too. Raises UserError where
    the folder holds samples of other settings.
    """
    from timbrel.library.sampler import RELEASE_S, Sampler, places

    sampler = Sampler(instrument, settings, asked, export_settings.sample_rate_hz)
    keys = key_numbers(config["keys"])  # not config.keys, which is a method
    name = file_name(instrument.name, _STEM_BYTES) or "sound"
    default = target.folder / f"{name}_keys_seed{settings.seed}"
    folder = default if config.output is None else target.folder
    table = _Table(folder / f"{name}.csv", _digest(sampler, config["keys"], export_settings))
    wanted = list(places(keys, config.velocities, config.round_robins, apart=sampler.one_shots))
    for notice in sampler.notices(keys):
        sys.stdout.write(f"{printable(notice)}\n")
    written: list[Path] = []
    for place in wanted:
        path = folder / f"{name}_{place.name}{target.suffix}"
        if not table.holds(path.name):
            table.add(_write(sampler, place, path, export_settings))
            written.append(path)
    regions = [
        _region(table.rows[f"{name}_{place.name}{target.suffix}"], place, config, sampler.one_shots)
        for place in wanted
    ]
    sfz = folder / f"{name}.sfz"
    release_s = RELEASE_S if any(region.loop for region in regions) else RELEASE_S / 2
    write_text(sfz, sfz_text(_title(instrument.name), regions, release_s=release_s))
    before = len(wanted) - len(written)
    sys.stdout.write(
        f"{printable(str(sfz))}: {len(wanted)} samples of {len(keys)} keys"
        + (f", {before} were there" if before else "")
        + f", {_found(regions, table.rows.values())}\n"
    )
    return [*written, sfz]


def _write(
    sampler: "Sampler", place: "Place", path: Path, export_settings: "ExportSettings"
) -> dict[str, object]:
    """The line of a sample that was rendered and written."""
    from timbrel.audio.export import export

    sample = sampler.sample(place)
    report = export(
        path,
        [sample.samples],
        rate_hz=sample.rate_hz,
        settings=export_settings,
        metadata=sample.metadata,
        seed=sampler.settings.seed,
        # A killed call left it: it is the same sound.
        overwrite=path.is_file() and comment_in(path) == comment_of(sample.metadata),
    )
    loop = sample.loop
    return {
        "file": path.name,
        "key": place.key,
        "note": key_name(place.key),
        "velocity": place.velocities[1],
        "take": place.take,
        "seconds": round(report.n_samples / report.rate_hz, 3),
        "cents": "" if sample.cents is None else round(sample.cents, 1),
        "tune_cents": sample.tune_cents,
        "loudness_lufs": round(sample.loudness_lufs + report.gain_db, 2),
        "volume_db": sample.volume_db(report.gain_db),
        "peak_dbtp": round(report.true_peak_dbtp, 2),
        "loop_start": "" if loop is None else loop.start,
        "loop_end": "" if loop is None else loop.stop - 1,
        "loop_match": "" if loop is None else round(loop.match, 3),
    }


def _region(
    row: Mapping[str, object], place: "Place", config: DictConfig, one_shot: bool
) -> Region:
    looped = row["loop_start"] not in ("", None)
    return Region(
        file=str(row["file"]),
        keys=place.keys,
        key=place.key,
        velocities=place.velocities,
        take=place.take,
        takes=config.round_robins,
        tune_cents=int(str(row["tune_cents"])),
        volume_db=float(str(row["volume_db"])),
        loop=(int(str(row["loop_start"])), int(str(row["loop_end"]))) if looped else None,
        one_shot=one_shot,
    )


def _found(regions: list[Region], rows: Iterable[Mapping[str, object]]) -> str:
    """What was measured, in words."""
    loops = sum(region.loop is not None for region in regions)
    names = {region.file for region in regions}
    cents = [
        abs(float(str(row["cents"]))) for row in rows if row["file"] in names and str(row["cents"])
    ]
    tuned = f"within {max(cents):.1f} cents, " if cents else ""
    return f"{tuned}{loops} with a loop"


def _title(name: str) -> str:
    return f"{printable(name)}, sampled by timbrel"


def _digest(sampler: "Sampler", keys: str, export_settings: "ExportSettings") -> str:
    """Of all that a sample depends on, beside its place."""
    facts = {
        "model": sampler.instrument.bundle.card.model_hash,
        "prior": part_digest(sampler.instrument, "prior"),
        "settings": asdict(replace(sampler.settings, sound=str(sampler.settings.sound))),
        "attributes": dict(sampler.asked),
        "keys": keys if sampler.one_shots else "",  # there a key's sound goes by its place
        "export": asdict(export_settings),
    }
    return digest_of(facts)


class _Table:
    """The lines of the table at `path`, by file.

    Raises UserError where it is none, or one of other `settings`.
    """

    def __init__(self, path: Path, settings: str) -> None:
        way_out = "name another folder by output="
        self.settings = settings
        self._table = LineTable(path, _COLUMNS, what="table of samples", way_out=way_out)
        self.rows: dict[str, Mapping[str, object]] = {row["file"]: row for row in self._table.rows}
        if any(row["settings"] != settings for row in self.rows.values()):
            raise UserError(f"'{path}': samples of other settings; {way_out}")

    def holds(self, file: str) -> bool:
        """Whether the sample is done."""
        return file in self.rows and (self._table.path.parent / file).is_file()

    def add(self, row: Mapping[str, object]) -> None:
        """One line more. Raises WriteError where it cannot be written."""
        row = dict(row) | {"settings": self.settings}
        self._table.add(row)
        self.rows[str(row["file"])] = row
