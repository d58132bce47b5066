"""`timbrel generate`: sounds from a trained model, written as files."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from timbrel.audio.names import fitting
from timbrel.data.scan.tree import AUDIO_SUFFIXES, entries
from timbrel.data.scan.verdicts import Verdict
from timbrel.errors import UserError, folder_fault
from timbrel.files import check_room
from timbrel.paths import user_path
from timbrel.stages.app import run_stage
from timbrel.words import printable

if TYPE_CHECKING:
    import torch

    from timbrel.audio.export import ExportReport, ExportSettings
    from timbrel.library.instrument import Rendering

DEFAULT_FOLDER = Path("outputs", "generated")


def main(argv: Sequence[str]) -> int:
    """The exit status of `timbrel generate ...`."""
    return run_stage("generate", argv, generate)


def generate(config: DictConfig) -> list[Path]:
    """Render and write what `config` asks for; returns the files written, one line each printed.

    With `source=file` and a folder as `input` every recording in its tree is rendered, told by its
    content as the catalog does, into the same sub-folders; one that cannot be read is named and
    passed over.

    Raises UserError for a wrong model, input, output or value, and before anything is rendered
    where `output` cannot be written; an existing file named by `output` is never overwritten.
    """
    # Inside, so that --help and --cfg need no torch.
    from timbrel.audio.export import ExportSettings, export
    from timbrel.library import RenderSettings, load

    settings = RenderSettings(
        seconds=config.seconds,
        seed=config.seed,
        temperature=config.temperature,
        length=config.length,
        strength=config.strength,
        position=config.position,
        position_to=config.position_to,
        gain_db=config.gain_db,
        fade_in_s=config.fade_in_s,
        fade_out_s=config.fade_out_s,
    )
    export_settings = ExportSettings(
        format=str(config.export.format),
        encoding=str(config.export.encoding),
        sample_rate_hz=config.export.sample_rate_hz,
        dither=config.export.dither,
        ceiling_dbtp=config.export.ceiling_dbtp,
    )
    inputs = _inputs(config.source, config.input)
    target = _Target(config.output, export_settings)
    many = inputs is not None and os.path.isdir(user_path(config.input, "input"))
    if many and target.file is not None:
        raise UserError(
            f"output={config.output} is one file, input={config.input} a folder of them"
        )
    where = target.folder if target.file is None else target.file.parent
    check_room(where, advice="name another place by output=")
    instrument = load(config.model, _device(config.device), trust=config.trust)
    kind = str(config.source)
    written: list[Path] = []
    for source in [None] if inputs is None else inputs:
        label = "prior" if source is None else source.path.stem
        if kind not in ("prior", "file"):
            label = f"{kind}_{label}"
        stem = f"{instrument.name}_{label}_seed{config.seed}".replace("/", "_")
        try:
            rendering = instrument.prepare(
                settings,
                source=source.path if source and kind == "file" else kind,
                input=source.path if source and kind != "file" else None,
                to=None if config.to is None else user_path(config.to, "to"),
            )
            folder = source.folder if source else Path()
            path = target.path(folder / (label if many and config.output else stem))
            report = export(
                path,
                rendering.blocks,
                rate_hz=rendering.rate_hz,
                settings=export_settings,
                metadata=rendering.metadata,
                seed=config.seed,
            )
        except UserError as error:
            if not many:
                raise
            _pass_over(str(error))
            continue
        said = "" if config.seconds is None else _length_said(rendering)
        sys.stdout.write(_line(report, export_settings) + said + "\n")
        written.append(report.path)
    if not written:
        raise UserError(f"input={config.input}: none of its files could be rendered")
    return written


class _Target:
    """Where files go: the file that the user named, or free names in a folder."""

    def __init__(self, output: str | None, settings: "ExportSettings") -> None:
        path = None if output is None else user_path(output, "output")
        self.suffix = f".{settings.format}"
        self.file: Path | None = None
        named = path is not None and path.suffix.lower() in AUDIO_SUFFIXES
        if path is None or os.path.isdir(path) or not named:
            self.folder = path or DEFAULT_FOLDER
            if self.folder.exists() and not self.folder.is_dir():
                raise UserError(f"output={output} exists and is no folder; name another")
            return
        if path.suffix.lower() != self.suffix:
            raise UserError(
                f"output={output} ends in {path.suffix} but export.format={settings.format}; "
                f"add export={path.suffix[1:]} (wav or flac) or rename the output"
            )
        if path.exists():
            # Before anything is rendered: export would refuse it too, only later.
            raise UserError(f"output={output} exists; remove it or name another")
        self.file = path

    def path(self, stem: Path) -> Path:
        """The named file, or `stem` below the folder with -2, -3, ... where it is taken."""
        if self.file is not None:
            return self.file
        number, stem = 1, stem.with_name(fitting(stem.name))
        while True:
            name = stem.name if number == 1 else f"{stem.name}-{number}"
            path = self.folder / stem.with_name(f"{name}{self.suffix}")
            if not os.path.lexists(path):
                return path
            number += 1


@dataclass(frozen=True)
class _Input:
    """A file to encode, and the folder of its own, below the output's, that its sound goes to."""

    path: Path
    folder: Path = Path()


def _inputs(source: str, given: str | None) -> list[_Input] | None:
    """The files to encode, or None for the prior."""
    if source == "prior":
        if given is not None:
            raise UserError(f"input={given}: the prior takes no input; add source=file")
        return None
    if given is None:
        raise UserError("source=file needs input=FILE or input=FOLDER")
    path = user_path(given, "input")
    if not os.path.exists(path):
        raise UserError(f"input={given}: no such file or folder")
    return _recordings_in(path, given) if os.path.isdir(path) else [_Input(path)]


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
    from timbrel.training.compute import resolve_compute

    if device.precision == "bf16":
        raise UserError("device.precision=bf16: sounds are rendered in fp32; leave it out")
    return resolve_compute(**{**device, "precision": "fp32"}).torch_device


def _length_said(rendering: "Rendering") -> str:
    """What `seconds` did to a sound that has an end of its own."""
    if rendering.own_samples is None:
        return ""
    own_s = rendering.own_samples / rendering.rate_hz
    if rendering.n_samples > rendering.own_samples:
        return f", ends after {own_s:.2f} s; silence behind it"
    return ", cut before its own end" if rendering.cut else ""


def _line(report: "ExportReport", settings: "ExportSettings") -> str:
    """`a.wav: 4.00 s, peak -1.0 dBTP, gain reduced by 2.3 dB to stay under -1 dBTP`."""
    peak = report.true_peak_dbtp
    text = f"{printable(str(report.path))}: {report.n_samples / report.rate_hz:.2f} s, " + (
        "silent" if peak == float("-inf") else f"peak {peak:.1f} dBTP"
    )
    if report.gain_db < 0:
        text += (
            f", gain reduced by {-report.gain_db:.1f} dB "
            f"to stay under {settings.ceiling_dbtp:g} dBTP"
        )
    return text
