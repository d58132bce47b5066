"""`timbrel generate`: sounds from a trained model, written as files."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from timbrel.config.sources import ends
from timbrel.config.values import PRESET
from timbrel.data.scan.tree import entries
from timbrel.data.scan.verdicts import Verdict
from timbrel.errors import UserError, folder_fault
from timbrel.files import check_room
from timbrel.paths import user_path
from timbrel.stages.app import run_stage
from timbrel.stages.line_table import digest_of, part_digest
from timbrel.stages.manifest import Manifest
from timbrel.stages.said import line_of, said_of
from timbrel.stages.sampler import write_sampler
from timbrel.stages.sound_files import Target
from timbrel.words import printable

if TYPE_CHECKING:
    import torch

    from timbrel.audio.export import ExportReport, ExportSettings
    from timbrel.library.instrument import Instrument
    from timbrel.library.render_settings import Rendering, RenderSettings


def main(argv: Sequence[str]) -> int:
    """The exit status of `timbrel generate ...`."""
    return run_stage("generate", argv, generate)


def generate(config: DictConfig) -> list[Path]:
    """Render and write what `config` asks for; returns the files written, one line each printed.

    With `source=file` and a folder as `input` every recording in its tree is rendered, told by its
    content as the catalog does, into the same sub-folders; one that cannot be read is named and
    passed over. With `count` one sound of each seed is rendered that `manifest.csv` does not hold.

    Raises UserError for a wrong model, input, output or value, and before anything is rendered
    where `output` cannot be written; an existing file named by `output` is never overwritten.
    """
    # Inside, so that --help and --cfg need no torch.
    from timbrel.audio.export import ExportSettings
    from timbrel.library import RenderSettings, load

    keys = asdict(RenderSettings()).keys() - {"precise", "sound"}  # the others have the same names
    settings = RenderSettings(
        **{key: _plain(config[key]) for key in keys},
        precise=config.controls.precise,
        sound=None if config.sound is None else str(_sound(config.sound, "sound")),
    )
    export_settings = ExportSettings(
        format=str(config.export.format),
        encoding=str(config.export.encoding),
        sample_rate_hz=config.export.sample_rate_hz,
        dither=config.export.dither,
        ceiling_dbtp=config.export.ceiling_dbtp,
    )
    kind = str(config.source)
    one, other = ends(_plain(config.input), config.to)
    inputs = _inputs(kind, one)
    many = kind == "file" and os.path.isdir(user_path(one, "input"))
    target = Target(config.output, export_settings)
    _check_one_file(config, many=many, named=target.file is not None)
    where = target.folder if target.file is None else target.file.parent
    check_room(where, advice="name another place by output=")
    instrument = load(config.model, _device(config.device), trust=config.trust)
    asked, controls = (
        {key: value for key, value in section.items() if value is not None and key != "precise"}
        for section in (config.attributes, config.controls)
    )
    if kind == "keys":
        from timbrel.generation.controls.given import Controls, read_controls

        if read_controls(controls) != Controls():
            raise UserError("controls: not with source=keys; leave them out")
        return write_sampler(config, instrument, settings, asked, export_settings, target)
    job = _Job(config, instrument, settings, export_settings, asked, controls, other)
    if config.count > 1:
        return job.batch(target, inputs[0])
    written: list[Path] = []
    for given in inputs:
        label = _label(kind, given)
        stem = f"{instrument.name}_{label}_seed{config.seed}".replace("/", "_")
        try:
            rendering = job.prepared(given)
            path = target.path(given.folder / (label if many and config.output else stem))
            report = job.write(path, rendering, config.seed)
        except UserError as error:
            if not many:
                raise
            _pass_over(str(error))
            continue
        sys.stdout.write(
            line_of(report, export_settings) + said_of(rendering, settings, asked) + "\n"
        )
        written.append(report.path)
        if config.preset.save is not None:
            place = instrument.save_preset(
                config.preset.save, rendering, into=str(config.preset.into)
            )
            sys.stdout.write(f"preset: {printable(str(place))}\n")
    if not written:
        raise UserError(f"input={config.input}: none of its files could be rendered")
    return written


@dataclass(frozen=True)
class _Job:
    """What all sounds of one call have in common."""

    config: DictConfig
    instrument: "Instrument"
    settings: "RenderSettings"
    export_settings: "ExportSettings"
    asked: Mapping[str, float]
    controls: Mapping[str, Any]
    other: str | None
    """The other end of a sound between two."""

    def prepared(self, given: "_Input", *, seed: int | None = None) -> "Rendering":
        kind = str(self.config.source)
        settings = self.settings if seed is None else replace(self.settings, seed=seed)
        return self.instrument.prepare(
            settings,
            source=given.path if kind == "file" else kind,
            input=None if kind in ("prior", "file") else given.path,
            to=None if self.other is None else _sound(self.other, "to"),
            attributes=self.asked,
            controls=self.controls,
        )

    def write(
        self, path: Path, rendering: "Rendering", seed: int, *, overwrite: bool = False
    ) -> "ExportReport":
        from timbrel.audio.export import export

        return export(
            path,
            rendering.blocks,
            rate_hz=rendering.rate_hz,
            settings=self.export_settings,
            metadata=rendering.metadata,
            seed=seed,
            overwrite=overwrite,
        )

    def batch(self, target: "Target", given: "_Input") -> list[Path]:
        """The sounds of `count` seeds, but for those that the manifest holds."""
        from timbrel.library.new_sounds import heard_of

        config, label = self.config, _label(str(self.config.source), given)
        manifest = Manifest(target.folder, self._digest())
        known = self.instrument.recordings if config.source == "prior" else None
        written: list[Path] = []
        for seed in range(config.seed, config.seed + config.count):
            if manifest.holds(seed):
                continue
            rendering = self.prepared(given, seed=seed)
            heard, rendering = heard_of(rendering)
            stem = f"{self.instrument.name}_{label}_seed{seed}".replace("/", "_")
            path, again = target.path_of(Path(stem), rendering.metadata)
            report = self.write(path, rendering, seed, overwrite=again)
            nearest = known.nearest(heard()) if known is not None else None
            found = {
                "seconds": round(report.n_samples / report.rate_hz, 6),
                "peak_dbtp": round(report.true_peak_dbtp, 2),
                "gain_db": round(report.gain_db, 2),
                "made_of": rendering.metadata.get("made_of", ""),
            }
            if nearest is not None:
                found |= {"nearest": nearest.name, "nearest_share": round(nearest.share, 3)}
            manifest.add(seed, path, found)
            said = said_of(rendering, self.settings, self.asked)
            sys.stdout.write(line_of(report, self.export_settings) + said + "\n")
            written.append(path)
        before = config.count - len(written)
        sys.stdout.write(
            f"{len(written)} sounds written"
            + (f", {before} were there" if before else "")
            + f": {printable(str(manifest.path))}\n"
        )
        return written

    def _digest(self) -> str:
        """Of all that the sounds of a seed depend on."""
        from timbrel.generation.controls.given import read_controls

        given = read_controls(self.controls)
        moves = given.as_metadata()
        if given.following is not None:
            moves["follow"] = asdict(replace(given.following, path=str(given.following.path)))
        facts = {
            "model": self.instrument.bundle.card.model_hash,
            "prior": part_digest(self.instrument, "prior"),
            "settings": asdict(replace(self.settings, seed=0)),
            "source": [str(self.config[key]) for key in ("source", "input", "to")],
            "attributes": dict(self.asked),
            "controls": moves,
            "sliders": part_digest(self.instrument, "mapper") if moves else "",
            "export": asdict(self.export_settings),
        }
        return digest_of(facts)


def _check_one_file(config: DictConfig, *, many: bool, named: bool) -> None:
    """Raise UserError where several sounds are asked for by the name of one."""
    if named and config.source == "keys":
        raise UserError(f"output={config.output} is one file; source=keys takes a folder")
    if many and named:
        raise UserError(
            f"output={config.output} is one file, input={config.input} a folder of them"
        )
    if many and config.preset.save is not None:
        raise UserError(f"preset.save={config.preset.save}: one sound at a time is kept")
    if config.count > 1 and named:
        raise UserError(
            f"output={config.output} is one file, count={config.count} asks for several; name a "
            "folder"
        )


def _label(kind: str, given: "_Input") -> str:
    """What a file's name says of its source."""
    if kind == "prior":
        return kind
    name = str(given.path).removeprefix(PRESET)
    stem = Path(name).stem if kind != "preset" or name.endswith(".json") else name
    return stem if kind == "file" else f"{kind}_{stem}"


@dataclass(frozen=True)
class _Input:
    """A file or preset, and the folder of its own, below the output's, that its sound goes to."""

    path: Path | str
    folder: Path = Path()


def _inputs(source: str, given: str | None) -> list[_Input]:
    """The files or the preset that sounds are made of; one without a path for the prior."""
    if given is None:
        return [_Input("")]
    path = given if source == "preset" else _sound(given, "input")
    if isinstance(path, Path) and path.is_dir():
        return _recordings_in(path, given)
    return [_Input(path)]


def _plain(value: Any) -> Any:
    """A value of a config, and a list of it as a list."""
    return OmegaConf.to_object(value) if OmegaConf.is_config(value) else value


def _sound(given: str, key: str) -> Path | str:
    """The path of a file, or `preset:NAME` as it is."""
    return given if given.startswith(PRESET) else user_path(given, key)


def _recordings_in(folder: Path, given: str) -> list[_Input]:
    """The recordings in the tree of `folder`; why others are passed over goes to stderr.

    What timbrel wrote counts where there is nothing else: the results of one call, written into
    the folder, are not the next one's input.
    """
    if fault := folder_fault(folder):
        raise UserError(f"input={given}: {fault}")
    found = entries(folder)
    if all(entry.judgement is not None for entry in found):
        found = entries(folder, include_generated=True)
    for entry in found:
        if entry.own_product:
            _pass_over(
                f"'{folder / entry.path}': written by timbrel ({entry.own_product}); "
                "input= may name it by itself"
            )
        elif entry.judgement is not None and entry.judgement.verdict is Verdict.SKIP_WARN:
            _pass_over(f"'{folder / entry.path}': {' '.join(entry.judgement.reasons)}")
    sounds = [Path(entry.path) for entry in found if entry.judgement is None]
    if not sounds:
        raise UserError(f"input={given}: no sound files in it")
    return [_Input(folder / path, path.parent) for path in sounds]


def _pass_over(reason: str) -> None:
    sys.stderr.write(f"passed over: {printable(reason)}\n")


def _device(device: DictConfig) -> "torch.device":
    from timbrel.training.compute import rendering_compute

    if device.precision == "bf16":
        raise UserError("device.precision=bf16: sounds are rendered in fp32; leave it out")
    return rendering_compute(device).torch_device
