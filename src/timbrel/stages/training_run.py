"""Build everything, train, score, keep: the body of `timbrel train`."""

import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from timbrel.analysis.evaluation import MODEL, compared_part, means_of
from timbrel.analysis.latent_statistics import fit_latent_statistics
from timbrel.config.additions import logs_sounds
from timbrel.config.schema import EvaluateSection
from timbrel.data.split.parts import data_hash
from timbrel.errors import UserError
from timbrel.files import WriteError, check_room, remove_stale_temporaries
from timbrel.generation.file_source import encode_whole
from timbrel.generation.prior.draw import Prior
from timbrel.generation.statistics import LatentStatistics
from timbrel.library.bundle import check_free, save_bundle
from timbrel.library.card import Card, Frontend, TrainingData
from timbrel.models.autoencoder import Autoencoder
from timbrel.runs.folder import CONFIG_FILE, MODEL_FOLDER, Run
from timbrel.stages import parts
from timbrel.stages.additions import Additions, additions, build_loggers
from timbrel.stages.code_chunks import measured_chunks
from timbrel.stages.composing import options_chosen
from timbrel.stages.evaluation_run import Outcome, evaluate_model, full_precision, page_of
from timbrel.stages.followers import EndedError, followers
from timbrel.stages.measuring import check_monophonic, measuring
from timbrel.stages.prior_run import fit_prior
from timbrel.stages.pruned import with_pruning
from timbrel.stages.recordings import Recordings, normalisation, recordings
from timbrel.stages.reproduction import (
    check_original,
    original_of,
    repeat_horizon,
    write_script,
)
from timbrel.stages.run_folders import elsewhere, place_of_run, run_folder, save_config
from timbrel.stages.sweep_number import number, parts_of
from timbrel.stages.training_parts import (
    chosen_compute,
    fit_first_weights,
    fitting_model,
    training_loader,
    training_module,
)
from timbrel.stages.warm_start import warm_started
from timbrel.stages.watchers import watchers
from timbrel.sweeps.search.note import Ending, TrialNote
from timbrel.training.checkpoint import resume_step, room_for_checkpoints
from timbrel.training.compute import Compute
from timbrel.training.fit import fit
from timbrel.training.in_use import only_training
from timbrel.training.metrics_log import MetricsLog
from timbrel.training.module import Training
from timbrel.training.provenance import (
    PROVENANCE_FILE,
    check_same_data,
    note_status,
    parent_of,
    write_provenance,
)


@dataclass(frozen=True)
class Done:
    """A training that ended: its closing line, and the numbers that were asked for."""

    line: str
    number: float | None
    """That of `objective`; None without."""
    ending: Ending
    """For the trial of a search that it was."""
    original: Run | None = None
    """The run that it repeats (`reproduce`)."""


def train(config: DictConfig) -> Done:
    """Train, score the test files, write the model.

    What it needs of an earlier start and of the disk is checked before any recording is read.
    Raises UserError where that is not there, where another process trains this run, and where the
    disk refuses a file on the way, with what is kept and how to go on.
    """
    parts.check_sections(config)
    added = additions(config)
    compute = chosen_compute(config)
    model = fitting_model(config)
    with ExitStack() as held:
        if config.run is not None:
            held.enter_context(only_training(Path(config.run), advice=elsewhere(config)))
        parent = warm_started(config, model)
        module = training_module(config, model, compute, added)
        original = original_of(config, compute)
        if original is not None:
            repeat_horizon(module.horizon, original)
        place = place_of_run(config)
        first_step = 0
        if config.run is not None:
            remove_stale_temporaries(place)
            check_free(place / MODEL_FOLDER)
            first_step = resume_step(place, module.state_dict()) or 0
        check_room(place, room_for_checkpoints(module, place), advice=elsewhere(config))
        guard_samples = model.receptive_field_samples
        found = recordings(config.data, seed=config.seed, guard_samples=guard_samples)
        parts_of(_asked(config), found.split.parts())
        check_monophonic(config, found, model)
        if original is not None:
            check_original(original, data_hash(found.split), parent)

        folder = run_folder(config)
        if config.run is None:
            held.enter_context(only_training(folder))
        try:
            if not (folder / CONFIG_FILE).exists():
                record = write_provenance(
                    folder / PROVENANCE_FILE,
                    seed=config.seed,
                    data_hash=data_hash(found.split),
                    notes=found.split.notes,
                    choices=options_chosen(),
                    device=compute.kind(),
                    parent=parent,
                )
                write_script(folder, config, record)
                save_config(config, folder)  # last: what has a config can be resumed
            check_same_data(folder, data_hash(found.split))
            done = _trained(config, compute, module, added, found, folder, first_step)
            return replace(done, original=original)
        except (WriteError, EndedError) as error:
            raise UserError(f"{error}; {_kept(folder)}") from error


def _kept(folder: Path) -> str:
    """What a training that the disk ended has left, and how it goes on."""
    step = resume_step(folder)
    kept = f"the training is kept up to step {step}" if step else "no checkpoint was written yet"
    if not (folder / CONFIG_FILE).exists():
        return kept
    return f"{kept}; to go on: timbrel train {shlex.quote(f'run={folder}')}"


def _trained(
    config: DictConfig,
    compute: Compute,
    module: Training,
    added: Additions,
    found: Recordings,
    folder: Path,
    first_step: int,
) -> Done:
    """Train from `first_step` on, score, write the model."""
    sys.stderr.write(f"run: {folder}\n")
    log = MetricsLog(folder / "metrics.csv")
    log.truncate(first_step)
    if first_step:
        sys.stderr.write(f"resuming after step {first_step}\n")

    names = {clip.clip_id: clip.name for clip in found.clips}
    wandb_run = None
    try:
        measured = measuring(config, found, module.model)
        tracks = measured if module.model.conditions else None
        code_chunks = measured_chunks(config, found.split, module.model)
        callbacks, wandb_run = watchers(
            config, found, compute, folder, log, first_step, tracks, added, code_chunks
        )
        pruning = with_pruning(callbacks)
        chunks = 0 if first_step else fit_first_weights(config, found, module.model, measured)
        if chunks:
            sys.stderr.write(f"first weights: fitted to {chunks} chunks\n")
        loader = training_loader(config, found, compute, first_step, measured)
        with followers(config, compute, folder, first_step):
            fitted = fit(
                module,
                loader,
                callbacks,
                folder,
                compute,
                names,
                loggers=build_loggers(added.loggers, folder),
                log_every_steps=config.trainer.log_every_steps,
            )
        if pruning is not None and pruning.pruned_at is not None:
            return _pruned(folder, pruning.pruned_at)
        part = compared_part(found.split.parts())
        sys.stderr.write(f"trained {fitted.steps} steps; scoring the {part or 'held-out'} files\n")
        for name in module.phases.after(fitted.steps, module.horizon):
            sys.stderr.write(f"note: phase '{name}' never began: training ended before it\n")
        model = module.averaged.to(compute.torch_device)  # Lightning leaves it on the CPU
        statistics = _statistics(model, found)
        fitted_prior = fit_prior(
            model, found.split, statistics, config.prior, seed=config.seed, strict=False
        )
        outcome = _measured(config, model, fitted_prior.prior, found, folder, part)
        means = means_of(outcome.summary, part) if part else {}
        best = {"validation_loss": fitted.best_loss} if fitted.best_step else {}
        scores = {f"{part}_{name}": value for name, value in means.items()}
        with full_precision():
            _save_model(config, model, statistics, found, folder, {**best, **scores})
            fitted_prior.save(folder / "model")
        if wandb_run is not None:
            _log_outcome(wandb_run, config, outcome, folder / "model")
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"to go on: timbrel train run={folder}") from interrupt
    finally:
        if wandb_run is not None:
            wandb_run.finish()
    sys.stderr.write(f"{fitted_prior.said}\n")
    line = _closing_line(folder, outcome, part, page_of(folder))
    note_status(folder, None)
    numbers = {
        name: number(name, outcome, fitted.best_loss, model)
        for name in filter(None, _asked(config))
    }
    return Done(line, numbers.get(config.objective), Ending(numbers, folder=str(folder)))


def _log_outcome(wandb_run: Any, config: DictConfig, outcome: Outcome, bundle: Path) -> None:
    """Scores and gates, and the model where the run may hold sounds."""
    from timbrel.training.wandb_log import log_gates, log_summary
    from timbrel.training.wandb_model import log_model

    rows = [score.row() for score in outcome.summary]
    wandb_run.send(lambda run: log_summary(run, rows))
    wandb_run.send(lambda run: log_gates(run, outcome.gates))
    if logs_sounds(config):
        wandb_run.send(lambda run: log_model(run, bundle))


def _asked(config: DictConfig) -> list[str | None]:
    """The numbers that `objective` and the trial of a search ask for."""
    note = TrialNote.of(os.environ)
    return list(dict.fromkeys([config.objective, *(note.numbers if note else ())]))


def _pruned(folder: Path, step: int) -> Done:
    """A trial that its search has ended early: no scores and no model, but a page that says so."""
    note_status(folder, f"pruned at step {step}")
    page_of(folder)
    return Done(f"pruned at step {step}: {folder}", None, Ending({}, step, folder=str(folder)))


def _statistics(model: Autoencoder, found: Recordings) -> LatentStatistics:
    """Moments of the training latents."""
    with full_precision():
        try:
            return fit_latent_statistics(
                encode_whole(model, segment.samples()) for segment in found.split.train
            )
        except ValueError as error:
            raise UserError(f"{error}; train again with a lower trainer.learning_rate") from error


def _measured(
    config: DictConfig,
    model: Autoencoder,
    prior: Prior,
    found: Recordings,
    folder: Path,
    part: str | None,
) -> Outcome:
    """The held-out part beside its controls, and the gates; what failed is told on stderr.

    The parts that `objective` and a trial ask for are scored too.
    """
    wanted = (part, *parts_of(_asked(config), found.split.parts()))
    outcome = evaluate_model(
        folder,
        model,
        prior,
        found,
        downmix=str(config.data.downmix),
        normalise=normalisation(config.data),
        chunk_samples=config.data.chunk_samples,
        settings=EvaluateSection(parts=list(dict.fromkeys(name for name in wanted if name))),
        limits=config.limits,
        seed=config.seed,
        output=folder,
    )
    for gate in outcome.gates:
        if gate.passed is False:
            sys.stderr.write(f"{gate.line}\n")
    return outcome


def _closing_line(folder: Path, outcome: Outcome, part: str | None, report: Path | None) -> str:
    if part is None:
        scores = "(no held-out files, so no scores)"
    else:
        means = means_of(outcome.summary, part)
        files = sum(row.part == part and row.system == MODEL for row in outcome.files)
        scores = (
            f"{part} MR-STFT {means['mrstft']:.3f}, log-mel L1 {means['log_mel_l1']:.3f}, "
            f"SI-SDR {means['si_sdr_db']:.1f} dB ({files} files)"
        )
    page = f"  report: {report}" if report else ""
    return f"done: {folder}  {scores}  model: {folder / 'model'}{page}"


def _save_model(
    config: DictConfig,
    model: Autoencoder,
    statistics: LatentStatistics,
    found: Recordings,
    folder: Path,
    metrics: Mapping[str, float],
) -> None:
    """The bundle: weights averaged over steps, moments of the training latents, the card."""
    architecture = parts.model_config(config)
    train_s = sum(segment.n_samples for segment in found.split.train) / config.data.sample_rate_hz
    names = (config.data.name, *(Path(text).name for text in config.data.also))
    parent = parent_of(folder)
    save_bundle(
        folder / "model",
        model,
        architecture,
        Frontend(
            sample_rate_hz=config.data.sample_rate_hz,
            channels=config.data.channels,
            downmix=str(config.data.downmix),
            normalisation=normalisation(config.data),
            conditions=model.conditions,
        ),
        statistics,
        Card(
            name=config.name,
            trained_on=TrainingData(names, len(found.split.train), train_s),
            data_hash=data_hash(found.split),
            metrics=metrics,
            seed=config.seed,
            parent=parent.model_hash if parent else None,
        ),
    )
