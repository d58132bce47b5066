"""The typed schema of every stage. Knows neither Hydra nor torch.

Pluggable parts (`OPEN_SECTIONS`) are plain mappings with `_target_`s:
`config.targets.check_targets` compares them with the signatures they name. Everything else is
typed here, and a default that is not set in `conf/` is the default written here.
"""

# ruff: noqa: RUF009 - `_key` and `_section` return fields, which is what the rule asks for.

from dataclasses import dataclass
from typing import Any

from timbrel.config.bounds import key as _key
from timbrel.config.bounds import place as _place
from timbrel.config.bounds import section as _section
from timbrel.config.choices import (
    Accelerator,
    DataKind,
    Downmix,
    Embedding,
    ExportFormat,
    LoggerKind,
    LoggerMode,
    Normalise,
    Pitch,
    Precision,
    SecondPitch,
    Short,
    Source,
)
from timbrel.config.limits import LimitsConfig


@dataclass
class DataConfig:
    """Which recordings, as what chunks, split how."""

    kind: DataKind = _key(DataKind.folder, "folder: your recordings; demo: the built-in set")
    name: str | None = _key(None, "name used in run folders (default: the folder's own name)")
    root: str | None = _place("???", "folder of recordings, searched through")
    also: list[str] = _place([], "further folders of recordings: data.also=[FOLDER,FOLDER]")
    split_file: str | None = _place(None, "JSON with train and test lists, instead of shares")
    split_theme: str | None = _key(None, "the entry of split_file to use, where it holds several")
    sample_rate_hz: int = _key(
        48000,
        "rate to train at, in Hz; files are resampled to it",
        least=8000,
        most=192_000,
    )
    channels: int = _key(1, "1 mono, 2 stereo", choices=(1, 2))
    downmix: Downmix = _key(Downmix.mean, "mono from stereo: the mean, the left or the louder side")
    normalise: Normalise | None = _key(
        None,
        "bring each file to one level: peak (-1 dBTP) or loudness (-23 LUFS, at most -1 dBTP)",
    )
    chunk_samples: int = _key(65536, "samples per training example", least=1024)
    short: Short = _key(
        Short.repeat, "clips shorter than a chunk: pad, loop, or repeat with short silences"
    )
    validation_fraction: float = _key(
        0.1, "share of files that selects checkpoints", least=0, below=1
    )
    test_fraction: float = _key(0.1, "share of files that only reports", least=0, below=1)
    train_files: int | None = _key(None, "train on so many files only, drawn by the seed", least=1)
    folds: int | None = _key(
        None, "cross-fit over this many folds of files, instead of shares", least=3
    )
    fold: int = _key(0, "which fold is held out, from 0", least=0)
    include_silent: bool = _key(False, "train on silent files too")
    include_generated: bool = _key(False, "train on sounds that timbrel rendered, too")
    skip_unreadable: bool = _key(True, "leave unreadable files out; false: stop at the first")
    files: int | None = _key(
        None, "how many clips the demo set renders (data=demo only)", least=1, most=100_000
    )
    cache_dir: str | None = _place(None, "where decoded audio is kept (default: the user's cache)")


@dataclass
class TrainerConfig:
    """How long, how fast, how often."""

    batch_size: int = _key(8, "chunks per step", least=1)
    max_time: str | None = _key(None, "stop after 8m, 1h30m, 90s, 00:08:00 or seconds")
    max_steps: int | None = _key(
        None, "stop after this many steps; whichever limit comes first", least=1
    )
    learning_rate: float = _key(
        1e-3, "peak learning rate (an optimizer.lr of its own wins)", above=0
    )
    betas: list[float] = _key(
        [0.9, 0.99], "decay of the two moments (optimizer=adamw)", least=0, below=1
    )
    weight_decay: float = _key(0.01, "decoupled weight decay (optimizer=adamw)", least=0)
    warmup_steps: int = _key(20, "steps over which the learning rate rises from 0", least=0)
    gradient_clip_norm: float | None = _key(1.0, "largest gradient norm; null: no limit", above=0)
    ema_decay: float | None = _key(
        0.995, "decay per step of the weights' average; null: none", least=0, below=1
    )
    validate_every_steps: int = _key(100, "steps between validations", least=1)
    checkpoint_every_steps: int = _key(100, "steps between checkpoints, to resume from", least=1)
    early_stop_patience: int | None = _key(
        None, "validations without gain (in the last phase) that stop it", least=1
    )
    validation_chunks: int = _key(32, "chunks per validation, at most", least=1)
    log_every_steps: int = _key(10, "steps between lines of metrics.csv", least=1)


@dataclass
class DeviceConfig:
    """What computes, in which precision."""

    accelerator: Accelerator = _key(Accelerator.auto, "auto takes cuda, then mps, then cpu")
    precision: Precision = _key(Precision.auto, "auto takes bf16 where it is fast, else fp32")
    workers: int | None = _key(
        None, "processes that load data (default: chosen by the machine)", least=0
    )
    threads: int | None = _key(None, "threads of CPU arithmetic (default: all cores)", least=1)
    pin_memory: bool | None = _key(None, "page-locked batches (default: with cuda)")
    tf32: bool = _key(True, "TF32 matrix products on cuda")


@dataclass
class LoggerConfig:
    """Curves and audio beside metrics.csv."""

    kind: LoggerKind = _key(LoggerKind.wandb, "none or wandb")
    mode: LoggerMode = _key(LoggerMode.offline, "offline needs no account and sends nothing")
    project: str = _key("timbrel", "W&B project")
    group: str | None = _key(None, "W&B group")
    tags: list[str] = _key([], "W&B tags")
    clips: int = _key(4, "held-out clips whose audio is logged", least=0)
    every_validations: int = _key(5, "validations between audio logs", least=1)
    extra: dict[str, Any] = _key(
        {}, "loggers of Lightning's or your own: +logger.extra.NAME._target_=MODULE.CLASS"
    )


@dataclass
class ExportConfig:
    """How audio is written."""

    format: ExportFormat = _key(ExportFormat.wav, "wav or flac")
    encoding: str = _key("24", "16, 24, or 32f (float, wav only)", choices=("16", "24", "32f"))
    sample_rate_hz: int = _key(48000, "rate of the file, in Hz", least=1000, most=384_000)
    dither: bool = _key(True, "TPDF dither for 16 and 24 bits")
    ceiling_dbtp: float = _key(-1.0, "true peak never exceeded, in dBTP", least=-60, most=0)


@dataclass
class AlarmsConfig:
    """When a training tells that a number is beyond its limit (`limits.*`)."""

    grace_steps: int = _key(100, "first steps, in which nothing is judged", least=0)
    patience: int = _key(3, "validations beyond a limit in a row that raise an alarm", least=1)


@dataclass
class PhaseConfig:
    """One phase of a training; what it leaves out is as without phases.

    The first begins at step 0; every other from a step, or from a share of the whole training.
    """

    name: str = _key("", "how the log calls it")
    from_step: int | None = _key(None, "the step it begins at")
    from_share: float | None = _key(None, "the share of the training, 0 to 1, it begins at")
    weights: dict[str, Any] = _section(dict)
    """Weights by term, instead of the loss's and the latent's (an adversary's: NAME/TERM)."""
    train: list[str] | None = _key(None, "parts of the model that learn (null: all)")
    adversaries: list[str] | None = _key(None, "of loss.adversaries, those that play (null: all)")


@dataclass
class TrainConfig:
    """`timbrel train`."""

    seed: int = _key(0, "all randomness of the run", least=0)
    name: str | None = _key(None, "name of the run (default: data, architecture and latent)")
    run: str | None = _key(None, "resume this run folder; only device and logger may change")
    trust: bool = _key(False, "true: go on with a run= whose parts lie outside timbrel and torch")
    data_root: str | None = _key(None, "where the recordings of run= lie now, if they have moved")
    init_from: str | None = _place(
        None, "a model bundle or run folder whose weights it starts from"
    )
    dry_run: bool = _key(False, "build everything, report, write nothing")
    objective: str | None = _key(
        None,
        "what a sweeper minimises: validation/loss, PART/SCORE (validation/mrstft), gates/GATE",
    )
    data: DataConfig = _section(DataConfig)
    architecture: dict[str, Any] = _section(dict)
    latent: dict[str, Any] = _section(dict)
    augmentation: dict[str, Any] = _section(dict)
    loss: dict[str, Any] = _section(dict)
    optimizer: dict[str, Any] = _section(dict)
    callbacks: dict[str, Any] = _section(dict)
    device: DeviceConfig = _section(DeviceConfig)
    trainer: TrainerConfig = _section(TrainerConfig)
    logger: LoggerConfig = _section(LoggerConfig)
    alarms: AlarmsConfig = _section(AlarmsConfig)
    limits: LimitsConfig = _section(LimitsConfig)  # type: ignore[valid-type]
    phases: list[PhaseConfig] = _key(
        [], "list of {name, from_step or from_share, weights, train, adversaries}"
    )


@dataclass
class InspectConfig:
    """`timbrel inspect`."""

    data: DataConfig = _section(DataConfig)
    output: str | None = _key(None, "CSV file to write, one line per file")
    report: str | None = _key(
        "outputs/inspect_${timbrel.short:${data.name}}.html",
        "page to write with pictures; null: none",
    )
    attributes: bool = _key(True, "measure attributes (pitch, brightness, attack ...) for the page")
    pitch: Pitch = _key(Pitch.yin, "how f0 is found: yin, or crepe (slower; timbrel[crepe])")
    workers: int | None = _key(
        None, "processes that read files (default: chosen by the machine)", least=0
    )
    augmentation: dict[str, Any] = _section(dict)


@dataclass
class EvaluateSection:
    """What is measured, and whether a gate that fails counts."""

    parts: list[str] = _key(["train", "validation", "test"], "which parts of the split are scored")
    strict: bool = _key(False, "exit with status 1 where a gate fails")
    bootstrap_draws: int = _key(2000, "draws of the intervals over files", least=100)
    generated_clips: int = _key(32, "clips drawn from the prior and compared; 0: none", least=0)
    embedding: Embedding = _key(
        Embedding.log_mel,
        "of kernel and Fréchet distance: log_mel, or aisfx (a package of its own)",
    )
    second_pitch: SecondPitch = _key(
        SecondPitch.none, "another judge of pitch: none, or swift_f0 (timbrel[swiftf0])"
    )


@dataclass
class EvaluateConfig:
    """`timbrel evaluate`."""

    run: str = _key("???", "the run folder to evaluate")
    data_root: str | None = _key(None, "where its recordings lie now, if they have moved")
    output: str | None = _key(None, "folder for tables, sounds and page (default: the run's own)")
    seed: int = _key(0, "randomness of the noise control and of the intervals", least=0)
    evaluate: EvaluateSection = _section(EvaluateSection)
    limits: LimitsConfig = _section(LimitsConfig)  # type: ignore[valid-type]
    device: DeviceConfig = _section(DeviceConfig)


@dataclass
class GenerateConfig:
    """`timbrel generate`."""

    model: str = _key("???", "a model bundle or a run folder")
    trust: bool = _key(False, "true: open a model with parts outside timbrel; their code runs")
    source: Source = _key(Source.prior, "prior: new sounds; file: the input through the model")
    input: str | None = _key(
        None,
        "audio file, or folder of them, to encode (source=file); data.normalise stays applied",
    )
    output: str | None = _key(None, "file or folder to write (default: outputs/generated)")
    seed: int = _key(0, "all randomness of the sound", least=0)
    seconds: float | None = _key(
        None, "length in s (default: the input's; 4 for the prior)", above=0, most=86_400
    )
    temperature: float = _key(1.0, "spread around the mean: 0 the mean, 1 as learned", least=0)
    gain_db: float = _key(0.0, "gain before the ceiling, in dB", least=-200, most=200)
    fade_in_s: float = _key(0.0, "fade-in, in s", least=0)
    fade_out_s: float = _key(0.01, "fade-out, in s", least=0)
    device: DeviceConfig = _section(DeviceConfig)
    export: ExportConfig = _section(ExportConfig)


@dataclass(frozen=True)
class Stage:
    """What the command line says about a stage, and the schema it composes into."""

    schema: type
    summary: str
    writes: str
    examples: tuple[str, ...]


STAGES = {
    "inspect": Stage(
        InspectConfig,
        "read a folder of recordings and say which files train, and why others do not",
        "outputs/inspect_<data>.html (report=); output=FILE.csv writes one line per file",
        (
            "data.root=~/kicks",
            "data.root=~/kicks report=kicks.html output=kicks.csv",
            "data.root=~/kicks augmentation=strong    # hear what training would hear",
        ),
    ),
    "train": Stage(
        TrainConfig,
        "train an instrument from a folder of recordings",
        "outputs/<date>_<time>_<name>/ (with --multirun: sweeps/<date>_<time>/<number>/)",
        (
            "data.root=~/kicks",
            "experiment=demo",
            "data.root=~/kicks architecture=spectral_small latent=annealed trainer.max_time=8m",
            "run=outputs/<run folder>    # go on after an interruption",
            "data.root=~/kicks init_from=outputs/<run folder>    # start from its weights",
            "--multirun data=demo latent=vae,beta_vae seed=0,1,2",
        ),
    ),
    "evaluate": Stage(
        EvaluateConfig,
        "score a run's model on its own recordings, beside controls, and check its gates",
        "<run>/evaluation/ and <run>/report.html, or both below output=",
        (
            "run=outputs/<run folder>",
            "run=outputs/<run folder> evaluate.strict=true",
            "run=outputs/<run folder> limits.memorisation=0.3    # the others are the run's own",
        ),
    ),
    "generate": Stage(
        GenerateConfig,
        "render sounds from a trained model",
        "outputs/generated/, or where output= says",
        (
            "model=outputs/<run folder>",
            "model=outputs/<run folder> source=file input=kick.wav output=kick_again.wav",
            "model=outputs/<run folder> seed=7 seconds=2 temperature=0.8 export=flac",
        ),
    ),
}

OPEN_SECTIONS = frozenset(
    {"architecture", "latent", "augmentation", "loss", "optimizer", "callbacks", "logger.extra"}
)
"""Sections whose keys are names and arguments of `_target_`s, not fields of the schema."""


def in_open_section(key: str) -> bool:
    """Whether `key` lies below one of the open sections.

    >>> in_open_section("logger.extra.csv.name"), in_open_section("logger.mode")
    (True, False)
    """
    return any(key.startswith(f"{section}.") for section in OPEN_SECTIONS)
