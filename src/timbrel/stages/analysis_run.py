"""Finds the sliders of a run's model: the body of `timbrel analyze`."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from timbrel.analysis.corpus_map import NEW, Placed, excerpt_of, write_map
from timbrel.analysis.disentanglement import (
    Disentanglement,
    disentanglement_of_demo,
    disentanglement_of_recordings,
    write_disentanglement,
)
from timbrel.analysis.excerpts import sounding, thinned
from timbrel.analysis.gates import Gate, replace_gates
from timbrel.analysis.slider_candidates import PROFILES, Codes
from timbrel.analysis.slider_gates import slider_gates
from timbrel.analysis.slider_tables import write_sliders
from timbrel.analysis.sliders import Found, find_sliders
from timbrel.attributes.measurement import measure
from timbrel.audio.read import read
from timbrel.config.choices import DataKind
from timbrel.contracts import joined
from timbrel.data.cache.store import Cache
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError
from timbrel.files import check_room, replacing_folder
from timbrel.generation.controls.apply import Playable, playable
from timbrel.generation.controls.follow import track_tables
from timbrel.generation.controls.mapper import Slider
from timbrel.generation.file_source import encode_whole
from timbrel.generation.prior.draw import Prior
from timbrel.library.card import Frontend
from timbrel.library.mapper_part import save_mapper
from timbrel.library.prior_part import prior_of
from timbrel.metrics.attributes import told_apart
from timbrel.metrics.sliders import AXES, PLACE, on_axes
from timbrel.models.autoencoder import Autoencoder
from timbrel.runs.folder import ANALYSIS_FOLDER, EVALUATION_FOLDER
from timbrel.stages.evaluation_run import full_precision, page_of, run_config
from timbrel.stages.opened_run import opened_run
from timbrel.stages.progress import now_and_then
from timbrel.stages.recordings import Recordings
from timbrel.stages.run_folders import check_run

ANCHOR_S = 3.0
"""So much of a sound is moved and measured."""

_FIRST_SEED = {"validation": 10_000, "test": 20_000}
_LOST = 10.0  # spreads: of a reconstruction that lacks what the recording has


@dataclass(frozen=True)
class _Heard:
    """A sound as it is and as the model plays it."""

    name: str
    recorded: np.ndarray
    code: np.ndarray
    sound: Playable
    excerpt: np.ndarray
    excerpt_hz: int

    def placed(self, kind: str) -> Placed:
        """For the map."""
        heard = (self.excerpt, self.excerpt_hz)
        return Placed(kind, self.name, self.code, self.recorded, *heard)


def analyse_run(config: DictConfig) -> int:
    """Find the sliders of `config.run`, write them into its model and `analysis/`, draw its page.

    Raises UserError where the run has no model yet, or its recordings are not found.
    """
    folder = check_run(config.run)
    check_room(folder, advice="make room, or copy the run to another place")
    trained = run_config(folder, data_root=config.data_root)
    run = opened_run(folder, trained, config.device)
    bundle, model, found = run.bundle, run.model, run.recordings
    say = now_and_then()
    profile = PROFILES[str(config.profile)]
    with full_precision():
        prior = prior_of(bundle)
        training = list(_heard(model, sounding(found.split.train, profile.training)))
        held_out = {
            "validation": list(_heard(model, sounding(found.split.validation, 64))),
            "test": list(_heard(model, sounding(found.split.test, 64))),
        }
        anchors = {
            part: _anchors(model, heard, prior, count, _FIRST_SEED[part])
            for part, heard, count in (
                ("validation", held_out["validation"], profile.validation),
                ("test", held_out["test"], profile.test),
            )
        }
        values = np.stack([heard.recorded for heard in training])
        sliders = find_sliders(
            model,
            training=values,
            codes=_codes(training, trained, model.latent_dim),
            reconstruction_errors=_errors([*held_out["validation"], *held_out["test"]]),
            validation=[sound for _, sound in anchors["validation"]],
            test=[sound for _, sound in anchors["test"]],
            anchors=[name for name, _ in anchors["test"]],
            profile=profile,
            seed=config.seed,
            progress=say,
        )
        code = _code(trained, model, found, bundle.frontend, quick=profile.name == "quick")
        gates = slider_gates(sliders.mapper, config.limits)
        mapped = [*_new_sounds(model, folder / EVALUATION_FOLDER)]
        tracks = track_tables((heard.sound.sound.rows for heard in training), model.conditions)
        save_mapper(bundle.folder, replace(sliders.mapper, tracks=tracks))
        with replacing_folder(folder / ANALYSIS_FOLDER) as draft:
            write_sliders(draft, sliders, [sound for _, sound in anchors["test"]])
            write_disentanglement(draft / "disentanglement.csv", code)
            parts = {"train": training, **held_out, NEW: mapped}
            placed = [one.placed(kind) for kind, heard in parts.items() for one in heard]
            write_map(draft, placed, np.stack([heard.code for heard in training]))
    if (table := folder / EVALUATION_FOLDER / "gates.csv").is_file():
        replace_gates(table, gates)
    judged = (gate.line for gate in gates if gate.passed is not None)
    lines = (*told(sliders), *told_of_code(code), *judged)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    _log_to_wandb(trained, folder, gates)
    report = page_of(folder)
    where = f"sliders: {bundle.folder / 'parts' / 'mapper'}"
    sys.stdout.write(where + (f"  report: {report}" if report else "") + "\n")
    return 0


def _log_to_wandb(trained: DictConfig, folder: Path, gates: Sequence[Gate]) -> None:
    """Add the analysis and its gates to the run's own W&B run, where its training had one."""
    if trained.logger.kind != "wandb":
        return
    from timbrel.stages.watchers import wandb_settings
    from timbrel.training.wandb_analysis import log_analysis
    from timbrel.training.wandb_log import log_gates, start_run

    where = f"the analysis is complete without it, in {folder / ANALYSIS_FOLDER}"
    run = start_run(wandb_settings(trained.logger, None, folder), folder, {}, otherwise=where)
    run.send(lambda begun: log_analysis(begun, folder))
    run.send(lambda begun: log_gates(begun, gates))
    run.finish()


def _codes(heard: Sequence[_Heard], trained: DictConfig, latent_dim: int) -> Codes:
    """What directions are found in; `latent=ar_vae` names the units that follow an attribute."""
    frames = []
    for one in heard:
        rows = one.sound.sound.rows[:latent_dim].T
        clip = np.broadcast_to(one.sound.sound.clip_code, (len(rows), len(one.code) - latent_dim))
        frames.append(np.concatenate([rows, clip], axis=1))
    of_frames = trained.latent.get("frame_attributes") or ()
    of_clips = trained.latent.get("clip_attributes") or ()
    ordered = {name: unit for unit, name in enumerate(of_frames)}
    ordered |= {f"clip_{name}": latent_dim + unit for unit, name in enumerate(of_clips)}
    return Codes(np.stack([one.code for one in heard]), np.concatenate(frames), ordered)


def _code(
    trained: DictConfig,
    model: Autoencoder,
    found: Recordings,
    frontend: Frontend,
    *,
    quick: bool,
) -> Disentanglement:
    """What the code tells: of the demo's factors on fresh sounds, else of measured attributes."""
    draws = {"draws": 0, "tree_draws": 0} if quick else {}
    if trained.data.kind == DataKind.demo:
        return disentanglement_of_demo(
            model, downmix=frontend.downmix, normalise=frontend.normalisation, **draws
        )
    segments = chain.from_iterable(found.split.parts().values())
    folder = Cache(trained.data.cache_dir).folder
    return disentanglement_of_recordings(model, segments, cache=folder, **draws)


def told_of_code(code: Disentanglement) -> Iterator[str]:
    """A line for every score of disentanglement, beside what chance and the factors reach."""
    if code.reason:
        yield f"disentanglement of the code: {code.reason}"
        return
    yield f"disentanglement of the code ({code.n} {code.source}; {', '.join(code.factors)})"
    for name, score in code.scores.items():
        text = f"  {name:<20}{score.value:.2f}"
        if np.isfinite(score.low):
            text += f" [{score.low:.2f}, {score.high:.2f}], by chance {score.null_mean:.2f}"
        yield f"{text}, of the factors themselves {score.ceiling:.2f}"


def told(found: Found) -> Iterator[str]:
    """A line for every slider: what it moves, how well, and why not better."""
    names = found.anchors
    drawn = sum(name.startswith("seed ") for name in names)
    yield (
        f"sliders, judged on {len(names)} sounds ({len(names) - drawn} held-out recordings, "
        f"{drawn} new ones; {found.mapper.profile} profile)"
    )
    for slider in found.mapper.sliders.values():
        yield f"  {_line(slider)}"


def _line(slider: Slider) -> str:
    if not slider.scores:
        return f"{slider.axis:<11}{slider.verdict:<9}{slider.why}"
    s, (low, high) = slider.scores, slider.reach
    text = (
        f"{slider.axis:<11}{slider.verdict:<9}SDOT {s['sdot']:.2f} "
        f"[{s['low']:.2f}, {s['high']:.2f}] by {slider.operator}, "
        f"{low:+.2f} to {high:+.2f} {slider.unit}"
    ).rstrip()
    return text + (f"; {slider.why}" if slider.why else "")


def _heard(model: Autoencoder, segments: Sequence[Segment]) -> Iterator[_Heard]:
    for segment in segments:
        yield _one_heard(model, segment.label, segment.samples())


def _one_heard(model: Autoencoder, name: str, audio: np.ndarray) -> _Heard:
    rate_hz = model.sample_rate_hz
    audio = audio[:, : round(ANCHOR_S * rate_hz)]
    latent = encode_whole(model, audio)
    sound = playable(model, latent, audio.shape[1])
    code = np.concatenate([latent.frames[0].mean(1), latent.clip[0]]).astype(np.float64)
    values = on_axes(measure(audio, rate_hz))
    return _Heard(name, values, code, sound, *excerpt_of(audio, rate_hz))


def _new_sounds(model: Autoencoder, evaluation: Path) -> Iterator[_Heard]:
    """The sounds of the prior that the page plays, as an evaluation has written them."""
    paths = (evaluation / "audio" / "generated").glob("seed_*.wav")
    for path in sorted((p for p in paths if p.stem[5:].isdigit()), key=lambda p: int(p.stem[5:])):
        try:
            audio, _ = read(path)
        except UserError as error:
            sys.stderr.write(f"note: not on the map: {error}\n")
            continue
        if np.isfinite(audio).all() and len(audio) == model.channels:
            yield _one_heard(model, path.stem.replace("_", " "), audio)


def _anchors(
    model: Autoencoder, heard: Sequence[_Heard], prior: Prior, count: int, first_seed: int
) -> list[tuple[str, Playable]]:
    """`count` sounds: held-out recordings, and new ones of the prior where these are too few."""
    found = [(one.name, one.sound) for one in thinned(heard, count)]
    longest = round(ANCHOR_S * model.sample_rate_hz)
    seed = first_seed
    while len(found) < count:
        draw = prior.draw(seed, n_samples=longest)
        latent = joined(list(draw.source.blocks()))
        sound = playable(model, latent, draw.source.n_samples)
        if np.isfinite(sound.audio).all() and np.abs(sound.audio).max() > 0:
            found.append((f"seed {seed}", sound))
        seed += 1
        if seed > first_seed + 10 * count:
            break  # a model that gives nothing but silence has no sliders
    return found


def _errors(heard: Sequence[_Heard]) -> np.ndarray:
    """How far reconstructions are from recordings, `(recording, axis)`; nan without a value."""
    if not heard:
        return np.zeros((0, len(AXES)))
    rows = []
    attack = PLACE["attack"]
    for one in heard:
        found, recorded = on_axes(one.sound.measured), one.recorded.copy()
        f0_hz = 2 ** one.recorded[PLACE["pitch"]]
        if np.isfinite(f0_hz):
            for values in (found, recorded):
                values[attack] = told_apart(values[attack], float(f0_hz))
        error = np.abs(found - recorded)
        rows.append(np.where(np.isfinite(one.recorded) & ~np.isfinite(error), _LOST, error))
    return np.stack(rows)
