"""Score a model, check its gates, write `evaluation/`: the body of `timbrel evaluate`.

`timbrel train` ends with the same code.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig

from timbrel.analysis import gates as gate_rows
from timbrel.analysis import generation_gates, held_gates, latent_gates, slider_gates
from timbrel.analysis.evaluation import (
    FileScore,
    MeanScore,
    compared_part,
    score_parts,
    summarise,
    write_tables,
)
from timbrel.analysis.excerpts import TEXTURE_S
from timbrel.analysis.gates import Gate
from timbrel.analysis.generated_sounds import GeneratedSounds, measure_generated
from timbrel.analysis.generated_tables import write_generated
from timbrel.analysis.parity import front_end_difference, latent_difference
from timbrel.analysis.tracks import tracks_once
from timbrel.attributes.swift_f0 import swift_pitch
from timbrel.config.choices import SecondPitch
from timbrel.config.limits import ByKey
from timbrel.config.schema import EvaluateSection
from timbrel.data.scan.catalog import Catalog
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError
from timbrel.files import check_room, replacing_folder
from timbrel.generation.controls.mapper import Mapper
from timbrel.generation.prior.draw import Prior
from timbrel.library.bundle import Bundle
from timbrel.library.mapper_part import mapper_of
from timbrel.library.prior_part import prior_of
from timbrel.models.autoencoder import Autoencoder
from timbrel.paths import user_path
from timbrel.runs.folder import (
    EVALUATION_FOLDER,
    METRICS_FILE,
    held_out_loss,
    read_metrics,
)
from timbrel.stages.evaluation_tables import print_evaluation
from timbrel.stages.opened_run import opened_run
from timbrel.stages.progress import now_and_then
from timbrel.stages.recordings import Recordings
from timbrel.stages.run_folders import check_run, find_recordings, saved_config

_SECOND_PITCH = {SecondPitch.none: None, SecondPitch.swift_f0: swift_pitch}
_PARITY_FILES = 16  # of training, where nothing is held out


@dataclass(frozen=True)
class Outcome:
    """What was measured: a row per file and system, their means, gates, and generated sounds.

    `generated` is None where nothing was generated.
    """

    files: list[FileScore]
    summary: list[MeanScore]
    gates: list[Gate]
    generated: GeneratedSounds | None


def evaluate(config: DictConfig) -> int:
    """Evaluate `config.run` and print it; 1 where a gate fails under `evaluate.strict`, else 0.

    Raises UserError where the run has no model yet, where its recordings are not found, or are not
    those that it was trained on; WriteError, before anything is scored, where the results cannot
    be written.
    """
    folder = check_run(config.run)
    output = folder if config.output is None else user_path(config.output, "output")
    trained = run_config(folder, data_root=config.data_root)
    check_room(output, advice="name another folder for what is written: output=FOLDER")
    device = config.device
    if device.precision == "bf16":
        raise UserError("device.precision=bf16: models are scored in fp32; leave it out")
    run = opened_run(folder, trained, device)
    bundle, model, found = run.bundle, run.model, run.recordings
    outcome = evaluate_model(
        folder,
        model,
        prior_of(bundle),
        found,
        downmix=bundle.frontend.downmix,
        normalise=bundle.frontend.normalisation,
        chunk_samples=trained.data.chunk_samples,
        settings=EvaluateSection(**config.evaluate),
        limits=config.limits,
        seed=config.seed,
        output=output,
        mapper=_mapper(bundle),
    )
    print_evaluation(
        outcome.summary, outcome.gates, model.latent_values_per_second, outcome.generated
    )
    where = f"evaluation: {output / EVALUATION_FOLDER}"
    report = page_of(folder, output)
    sys.stdout.write(where + (f"  report: {report}" if report else "") + "\n")
    failed = [gate.name for gate in outcome.gates if gate.passed is False]
    if failed and config.evaluate.strict:
        sys.stderr.write(f"timbrel evaluate: failed: {', '.join(failed)}\n")
        return 1
    return 0


def run_config(folder: Path, *, data_root: str | None = None) -> DictConfig:
    """The config that the run in `folder` was trained with, its recordings at `data_root`.

    Raises UserError where `folder` is no run folder or has no model yet, and where there is no
    folder of recordings.
    """
    if (folder / "card.json").is_file():
        raise UserError(
            f"run={folder}: a model bundle, without the run that trained it; give the run folder "
            "that holds it, which knows the recordings"
        )
    if not (folder / "model" / "card.json").is_file():
        raise UserError(
            f"run={folder}: no model in it yet, its training was interrupted; to go on: "
            f"timbrel train run={folder}"
        )
    config = saved_config(folder)
    find_recordings(config, folder, data_root)
    return config


def evaluate_model(
    folder: Path,
    model: Autoencoder,
    prior: Prior,
    found: Recordings,
    *,
    downmix: str,
    normalise: str,
    chunk_samples: int,
    settings: EvaluateSection,
    limits: ByKey,
    seed: int,
    output: Path,
    mapper: Mapper | None = None,
) -> Outcome:
    """Score `settings.parts` and the gates of the run in `folder`; write `evaluation/` of `output`.

    The gates judge by `limits`, the run's own or what the command line has in their place.
    `prior` is what sounds are drawn from to compare them with the recordings, `mapper` the sliders
    that an analysis has found. An earlier evaluation is replaced once everything is measured.
    """
    known = found.split.parts()
    unknown = sorted(set(settings.parts) - known.keys())
    if unknown:
        raise UserError(f"evaluate.parts: {', '.join(unknown)} is none of {', '.join(known)}")
    parts = {name: segments for name, segments in known.items() if name in settings.parts}
    compared = compared_part(parts)
    frame_rate_hz = model.sample_rate_hz / model.hop_samples
    tracks = tracks_once(model)
    say = now_and_then()

    def scored(done: int, files: int, part: str) -> None:
        say(f"scored {done} of {files} files ({part})")

    with full_precision(), replacing_folder(output / EVALUATION_FOLDER) as draft:
        rows = score_parts(
            model,
            parts,
            draft / "audio",
            seed=seed,
            tracks=tracks,
            second_pitch=_SECOND_PITCH[settings.second_pitch],
            progress=scored,
        )
        summary = summarise(rows, seed=seed, draws=settings.bootstrap_draws)
        held_out = [*found.split.validation, *found.split.test]
        # The gates on input and code can use any file: training files if none is held out.
        any_files = held_out or found.split.train[:_PARITY_FILES]
        heard, unread = _front_end_differences(
            model, any_files, found.catalog, downmix, normalise, chunk_samples
        )
        coded = [latent_difference(model, segment, tracks) for segment in any_files]
        curves = read_metrics(metrics) if (metrics := folder / METRICS_FILE).is_file() else {}
        code = latent_gates.measure_code(model, held_out, tracks)
        generated = measure_generated(
            model,
            prior,
            found.split,
            clips=settings.generated_clips,
            excerpt_samples=max(chunk_samples, round(TEXTURE_S * model.sample_rate_hz)),
            seed=seed,
            audio_folder=draft / "audio" / "generated",
            embedding=settings.embedding,
            tracks=tracks,
        )
        gates = [
            gate_rows.kl_floor(rows, frame_rate_hz, limits["kl_floor_nats"]),
            *latent_gates.code_gates(code, limits),
            gate_rows.held_out_loss(held_out_loss(curves), limits["held_out_ratio"]),
            latent_gates.generalisation_gap(
                curves.get("validation/gap", []),
                held_out_loss(curves),
                limits["generalisation_gap"],
            ),
            gate_rows.front_end_parity(heard, limits["parity"], unread),
            gate_rows.latent_parity(coded),
            gate_rows.better_than_silence(rows, compared),
            gate_rows.better_than_noise(rows, compared),
            *held_gates.held_gates(rows, compared, frame_rate_hz, limits),
        ]
        if settings.generated_clips:
            gates += generation_gates.generation_gates(generated, limits)
        if mapper is not None:
            gates += slider_gates.slider_gates(mapper, limits)
        write_tables(draft, rows, summary)
        gate_rows.write_gates(draft / "gates.csv", gates)
        latent_gates.write_latent(draft / "latent.csv", code)
        write_generated(draft, generated)
    return Outcome(rows, summary, gates, generated)


def _mapper(bundle: Bundle) -> Mapper | None:
    """The sliders of `bundle`; None, with a note, where they are damaged or another model's."""
    try:
        return mapper_of(bundle)
    except UserError as error:
        sys.stderr.write(f"note: no gates on sliders: {error}\n")
        return None


def _front_end_differences(
    model: Autoencoder,
    segments: Sequence[Segment],
    catalog: Catalog,
    downmix: str,
    normalise: str,
    chunk_samples: int,
) -> tuple[list[float], str | None]:
    """The difference of every file that can be read, and the last reason why one cannot.

    Training reads the cache, so recordings may have been removed since it began.
    """
    differences, unread = [], None
    for segment in segments:
        try:
            difference = front_end_difference(
                model,
                segment,
                catalog.located(segment.clip.name),
                downmix=downmix,
                normalise=normalise,
                chunk_samples=chunk_samples,
            )
        except UserError as error:
            unread = str(error)
        else:
            differences.append(difference)
    return differences, unread


def page_of(folder: Path, output: Path | None = None) -> Path | None:
    """Draw the run's report, into `output` if given; None, and a line on stderr, where that fails.

    A page can be drawn again at any time: no failure of it may cost a training.
    """
    try:
        from timbrel.report.run_report import write_run_report

        return write_run_report(folder, output)
    except Exception as error:
        sys.stderr.write(
            f"no report: {type(error).__name__}: {error} "
            f"(everything else is written; again: timbrel evaluate run={folder})\n"
        )
        return None


@contextmanager
def full_precision() -> Iterator[None]:
    """No TF32 inside: scores and parity are those of fp32, on whatever device."""
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = False
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed
