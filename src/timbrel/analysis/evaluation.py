"""Scores of a model's reconstructions of whole files, beside two controls.

Posterior means are decoded in blocks, as in generation, so that the scores apply to what is
rendered. Scores are those of `metrics.scores`, over all channels: distances of spectra, errors of
attributes measured again, lines at the frame rate. The KL is that of the posterior, in nats.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from timbrel.analysis.tracks import Tracks, tracks_once
from timbrel.attributes.extent import is_event
from timbrel.attributes.measurement import measure
from timbrel.attributes.pitch import PitchTrack
from timbrel.audio.export import clear_peak_time
from timbrel.audio.names import file_stem
from timbrel.audio.origin import comment_of, mark
from timbrel.contracts import Conditions, Posterior
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError
from timbrel.files import write_bytes, write_text
from timbrel.generation.engine import decode_stream
from timbrel.generation.file_source import conditions_of, encode_posteriors, mean_clip
from timbrel.losses.latent import kl_nats
from timbrel.metrics import attributes, controls, reconstruction
from timbrel.metrics.attributes import HELD
from timbrel.metrics.frame_rate import frame_rate_lines_db
from timbrel.metrics.intervals import Interval, bootstrap
from timbrel.metrics.partials import partials_error_db
from timbrel.metrics.ringing import ringing_db
from timbrel.metrics.scores import SCORES
from timbrel.models.autoencoder import Autoencoder
from timbrel.randomness import numpy_generator

Progress = Callable[[int, int, str], None]  # files done, of how many, in which part
SecondPitch = Callable[[NDArray[np.float32], int], PitchTrack]  # audio (channel, time), rate in Hz

MODEL, SILENCE, NOISE = "model", "silence", "noise"
NATS_PER_SECOND = "nats_per_second"
HELD_OUT = ("test", "validation")  # the first that has files is compared with the controls
_BLOCK_SAMPLES = 1 << 20


@dataclass(frozen=True)
class FileScore:
    """One file of one part through one system.

    `scores` are those of `metrics.scores.SCORES` that are defined for it. `held` are the
    reference's values of the attributes whose errors are scores, by the name of the score.
    `nats_per_second` is the posterior's KL, nan for the controls and for a deterministic
    posterior.
    """

    part: str
    file: str
    system: str
    seconds: float
    scores: Mapping[str, float]
    nats_per_second: float = float("nan")
    held: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class MeanScore:
    """A metric's mean (or median: `Score.centre`) over the files of a part, with its interval."""

    part: str
    system: str
    metric: str
    interval: Interval

    def row(self) -> dict[str, Any]:
        """As summary.csv has it."""
        names = {"part": self.part, "system": self.system, "metric": self.metric}
        mean, low, high, files = astuple(self.interval)
        return {**names, "mean": mean, "low": low, "high": high, "files": files}


@dataclass(frozen=True)
class Reconstruction:
    """Decoded audio `(channel, time)`, and the nats that the code holds (nan if it has none)."""

    audio: NDArray[np.float32]
    nats: float


def compared_part(parts: Mapping[str, Sequence[Any]]) -> str | None:
    """The part that is compared with the controls: test, or validation where test has no file."""
    return next((name for name in HELD_OUT if parts.get(name)), None)


def score_parts(
    model: Autoencoder,
    parts: Mapping[str, Sequence[Segment]],
    audio_folder: Path,
    *,
    seed: int,
    second_pitch: SecondPitch | None = None,
    tracks: Tracks | None = None,
    progress: Progress = lambda done, files, part: None,
) -> list[FileScore]:
    """Every segment of `parts` through the model; those of `compared_part` through controls too.

    Of the compared part, float WAVs go into `<audio_folder>/<part>/reference|reconstruction`. One
    file at a time is in memory. `seed` is the noise control's; `second_pitch` is another tracker,
    which judges the pitch too.

    Raises UserError where the model's output is not finite.
    """
    tracks = tracks or tracks_once(model)
    compared = compared_part(parts)
    files = sum(map(len, parts.values()))
    rows: list[FileScore] = []
    done = 0
    for part, segments in parts.items():
        for number, segment in enumerate(segments):
            original = segment.samples()
            decoded = reconstruct(model, original, tracks(segment))
            if not np.isfinite(decoded.audio).all():
                raise UserError(
                    f"'{segment.clip.name}': the model's output is not finite (NaN or infinity); "
                    "its training diverged: use another model"
                )
            if part == compared:
                name = f"{number:03d}_{file_stem(segment.clip.name)}.wav"
                folder = audio_folder / part
                write_wav(folder / "reference" / name, original, model.sample_rate_hz)
                write_wav(
                    folder / "reconstruction" / name,
                    decoded.audio,
                    model.sample_rate_hz,
                    made="reconstruction",
                )
            control_seed = seed if part == compared else None
            rows += _scored(part, segment, original, decoded, model, control_seed, second_pitch)
            done += 1
            progress(done, files, part)
    return rows


def _scored(
    part: str,
    segment: Segment,
    original: NDArray[np.float32],
    decoded: Reconstruction,
    model: Autoencoder,
    control_seed: int | None,
    second_pitch: SecondPitch | None,
) -> Iterator[FileScore]:
    """The model's row, and those of the controls where there is a seed for them."""
    rate_hz = model.sample_rate_hz
    seconds = original.shape[1] / rate_hz
    wanted = measure(original, rate_hz)
    event = segment.is_whole and is_event(original, rate_hz)
    values = {
        name: attributes.value_of(wanted, attribute)
        for name, attribute in HELD.items()
        if event or not attribute.of_events
    }
    held = {name: value for name, value in values.items() if np.isfinite(value)}
    voiced = wanted.value("f0_hz") is not None
    pitch = attributes.measured_pitch(wanted)
    wanted_pitch = second_pitch(original, rate_hz) if second_pitch and voiced else None

    def row(system: str, given: NDArray[np.float32], nats: float = float("nan")) -> FileScore:
        scores = {
            **reconstruction.evaluate(original, given, rate_hz=rate_hz),
            **attributes.attribute_errors(wanted, measure(given, rate_hz), event=event),
        }
        told = {
            "frame_rate_lines_db": frame_rate_lines_db(
                original, given, rate_hz=rate_hz, frame_rate_hz=rate_hz / model.hop_samples
            ),
            "partials_error_db": partials_error_db(original, given, pitch, rate_hz=rate_hz)
            if voiced
            else None,
            "ringing_db": ringing_db(original, given, rate_hz=rate_hz),
        }
        scores |= {name: value for name, value in told.items() if value is not None}
        if second_pitch and wanted_pitch:
            heard = attributes.pitch_errors(wanted_pitch, second_pitch(given, rate_hz))
            scores |= {
                f"second_{name}": heard[name] for name in heard if f"second_{name}" in SCORES
            }
        return FileScore(part, segment.label, system, seconds, scores, nats / seconds, held)

    yield row(MODEL, decoded.audio, decoded.nats)
    if control_seed is not None:
        yield row(SILENCE, controls.silence(original))
        # By content: a file has the same noise in every run, whatever else is evaluated.
        name = f"noise/{segment.clip.content_hash}/{segment.start_sample}"
        yield row(NOISE, controls.matched_noise(original, numpy_generator(control_seed, 0, name)))


def reconstruct(
    model: Autoencoder, audio: NDArray[np.float32], conditions: Conditions | None = None
) -> Reconstruction:
    """`(channel, time)` through encoder mean and decoder in blocks, as `source=file` renders it.

    `conditions` are the tracks of all of it, measured where not given.

    Its nats are those of every frame, counted once wherever blocks overlap, and the clip code's:
    the mean of the blocks', weighted by frames. nan where the posterior is deterministic.
    """
    pieces = (audio[:, i : i + _BLOCK_SAMPLES] for i in range(0, audio.shape[1], _BLOCK_SAMPLES))
    coded = list(encode_posteriors(model, pieces, conditions or conditions_of(model, audio)))
    clip = mean_clip(posterior.mean for posterior in coded)
    codes = (replace(posterior.mean, clip=clip) for posterior in coded)
    decoded = np.concatenate(list(decode_stream(model, codes)), axis=1)
    return Reconstruction(decoded[:, : audio.shape[1]], _nats(coded))


def _nats(coded: Sequence[Posterior]) -> float:
    """The nats of consecutive posteriors; nan where they have no variance."""
    frame_nats, clip_nats = 0.0, []
    for posterior in coded:
        mean, log_var = posterior.mean, posterior.log_var
        if log_var is None:
            return float("nan")
        frame_nats += float(kl_nats(mean.frames, log_var.frames).sum(1).double().sum())
        nats = kl_nats(mean.clip, log_var.clip).sum(1, keepdim=True)
        clip_nats.append(replace(mean, clip=nats))
    return frame_nats + float(mean_clip(clip_nats))


def summarise(rows: Sequence[FileScore], *, seed: int, draws: int) -> list[MeanScore]:
    """Means with 95 % intervals over files, of every part, system and metric, in their order.

    Of a metric that not every file has, over those that have it; medians of those that are
    summarised so.
    """
    groups: dict[tuple[str, str], list[FileScore]] = {}
    for row in rows:
        groups.setdefault((row.part, row.system), []).append(row)
    summary = []
    for (part, system), members in groups.items():
        columns = {
            name: [row.scores[name] for row in members if name in row.scores] for name in SCORES
        }
        columns[NATS_PER_SECOND] = [row.nats_per_second for row in members]
        for metric, values in columns.items():
            if not values or not np.isfinite(values).all():
                continue  # mono has no width, a deterministic posterior no KL
            # The same draws of files for every system and metric: they compare like with like.
            rng = numpy_generator(seed, 0, f"bootstrap/{part}")
            centre = SCORES[metric].centre if metric in SCORES else "mean"
            interval = bootstrap(values, rng, draws, centre=centre)
            summary.append(MeanScore(part, system, metric, interval))
    return summary


def means_of(summary: Iterable[MeanScore], part: str, system: str = MODEL) -> dict[str, float]:
    """Means by metric; empty where the part was not scored."""
    return {s.metric: s.interval.mean for s in summary if (s.part, s.system) == (part, system)}


def write_tables(folder: Path, rows: Sequence[FileScore], summary: Sequence[MeanScore]) -> None:
    """`files.csv` and `summary.csv` in `folder`; an empty cell is a value that does not exist."""
    write_csv(
        folder / "files.csv",
        ["part", "file", "system", "seconds", *SCORES, NATS_PER_SECOND],
        (
            [
                *(row.part, row.file, row.system, row.seconds),
                *(row.scores.get(name, float("nan")) for name in SCORES),
                row.nats_per_second,
            ]
            for row in rows
        ),
    )
    write_csv(
        folder / "summary.csv",
        ["part", "system", "metric", "mean", "low", "high", "files"],
        (list(score.row().values()) for score in summary),
    )


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Floats to seven digits, nan as an empty cell; file names survive whatever bytes they hold."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    write_text(path, text.getvalue())


def _cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "" if np.isnan(value) else f"{value:.7g}"


def write_wav(
    path: Path, audio: NDArray[np.float32], rate_hz: int, *, made: str | None = None
) -> None:
    """`(channel, time)` as float samples; its folder is made.

    `made` says what a model made it as, and marks the file; None: a recording, as it is.
    """
    content = io.BytesIO()
    settings = {"samplerate": rate_hz, "channels": len(audio), "subtype": "FLOAT"}
    with soundfile.SoundFile(content, "w", format="WAV", **settings) as file:
        if made is not None:
            mark(file, comment_of({"source": made}))
        file.write(audio.T)
    clear_peak_time(content)  # the same audio is the same file
    write_bytes(path, content.getbuffer())
