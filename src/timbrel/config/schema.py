"""The typed schema of every stage. It imports neither Hydra nor torch.

Pluggable parts (`OPEN_SECTIONS`) are plain mappings with `_target_`s:
`config.targets.check_targets` compares them with the signatures they name. Every other key has its
type here, and its default too unless a file of `conf/` sets another.
"""

# ruff: noqa: RUF009 - `_key` and `_section` return fields, which is what the rule asks for.

from dataclasses import dataclass
from typing import Any

from timbrel.config.bounds import key as _key
from timbrel.config.bounds import place as _place
from timbrel.config.bounds import section as _section
from timbrel.config.choices import (
    Accelerator,
    AnalysisProfile,
    DataKind,
    Downmix,
    Embedding,
    LoggerKind,
    LoggerMode,
    Normalise,
    Pitch,
    Precision,
    PriorKind,
    SecondPitch,
    Short,
    TextureKind,
)
from timbrel.config.limits import LimitsConfig, SliderLimitsConfig


@dataclass
class DataConfig:
    """Which recordings are read, how they are cut into chunks, and how they are split."""

    kind: DataKind = _key(DataKind.folder, "folder: your recordings; demo: the built-in set")
    name: str | None = _key(None, "name used in run folders (default: the folder's own name)")
    root: str | None = _place("???", "folder of recordings; subfolders are searched too")
    also: list[str] = _place([], "further folders of recordings: data.also=[FOLDER,FOLDER]")
    split_file: str | None = _place(None, "JSON file with train and test lists (else by fraction)")
    split_theme: str | None = _key(None, "the entry of split_file to use, if it holds several")
    sample_rate_hz: int = _key(
        48000, "sample rate, in Hz; files are resampled to it", least=8000, most=192_000
    )
    channels: int = _key(1, "1 mono, 2 stereo", choices=(1, 2))
    downmix: Downmix = _key(Downmix.mean, "mono from stereo: mean, left or loudest channel")
    normalise: Normalise | None = _key(
        None,
        "set each file to one level: peak (-1 dBTP) or loudness (-23 LUFS, at most -1 dBTP)",
    )
    chunk_samples: int = _key(65536, "samples in a training example (a chunk)", least=1024)
    short: Short = _key(
        Short.repeat, "clips shorter than a chunk: pad, loop, or repeat with short silences"
    )
    validation_fraction: float = _key(
        0.1, "share of files that choose the checkpoint", least=0, below=1
    )
    test_fraction: float = _key(0.1, "share of files for the final scores only", least=0, below=1)
    train_files: int | None = _key(None, "train on this many files, drawn by seed", least=1)
    folds: int | None = _key(
        None, "split into this many folds (cross-validation), not by fraction", least=3
    )
    fold: int = _key(0, "the fold that is held out, counted from 0", least=0)
    include_silent: bool = _key(False, "train on silent files too")
    include_generated: bool = _key(False, "train on sounds that timbrel rendered, too")
    skip_unreadable: bool = _key(True, "skip unreadable files; false: stop at the first one")
    files: int | None = _key(None, "clips to render (data=demo only)", least=1, most=100_000)
    cache_dir: str | None = _place(None, "folder for decoded audio (default: the user's cache)")


@dataclass
class TrainerConfig:
    """Length of a training, its optimizer, and how often it validates, saves and logs."""

    batch_size: int = _key(8, "chunks per step", least=1)
    first_fit_chunks: int = _key(
        0, "chunks to which the first weights are fitted by least squares; 0: random", least=0
    )
    max_time: str | None = _key(None, "stop after this time: 8m, 1h30m, 90s, 00:08:00 or seconds")
    max_steps: int | None = _key(None, "stop after this many steps (or at max_time)", least=1)
    learning_rate: float = _key(
        1e-3, "peak learning rate (optimizer.lr, if set, takes precedence)", above=0
    )
    betas: list[float] = _key(
        [0.9, 0.99], "decay of the two moments (optimizer=adamw)", least=0, below=1
    )
    weight_decay: float = _key(0.01, "decoupled weight decay (optimizer=adamw)", least=0)
    warmup_steps: int = _key(20, "steps in which the learning rate rises to its peak", least=0)
    gradient_clip_norm: float | None = _key(1.0, "largest gradient norm; null: no limit", above=0)
    ema_decay: float | None = _key(
        0.995, "decay per step of the averaged weights; null: none", least=0, below=1
    )
    validate_every_steps: int = _key(100, "steps between validations", least=1)
    checkpoint_every_steps: int = _key(100, "steps between checkpoints to resume from", least=1)
    early_stop_patience: int | None = _key(
        None,
        "stop after this many validations without improvement (counted in the last phase)",
        least=1,
    )
    validation_chunks: int = _key(32, "largest number of chunks per validation", least=1)
    disentanglement_every_validations: int = _key(
        1, "validations between two scores of what the code tells of attributes; 0: never", least=0
    )
    log_every_steps: int = _key(10, "steps between rows of metrics.csv", least=1)


@dataclass
class DeviceConfig:
    """The device that computes, and its arithmetic."""

    accelerator: Accelerator = _key(Accelerator.auto, "auto: the first of cuda, mps, cpu found")
    precision: Precision = _key(Precision.auto, "auto: bf16 where it is fast, else fp32")
    workers: int | None = _key(
        None, "processes that load data (default: by the number of cores)", least=0
    )
    threads: int | None = _key(None, "CPU threads for computing (default: all cores)", least=1)
    pin_memory: bool | None = _key(None, "keep batches in page-locked memory (default: with cuda)")
    processes: int = _key(
        1, "processes that share every batch of a training (device=ddp_cpu, ddp_cuda)", least=1
    )
    tf32: bool = _key(True, "use TF32 for matrix products on cuda")


@dataclass
class LoggerConfig:
    """Where curves and audio are logged, in addition to metrics.csv."""

    kind: LoggerKind = _key(LoggerKind.wandb, "wandb (Weights & Biases), or none")
    mode: LoggerMode = _key(LoggerMode.offline, "offline (no account, sends nothing) or online")
    project: str = _key("timbrel", "name of the W&B project")
    group: str | None = _key(None, "name of the W&B group")
    tags: list[str] = _key([], "W&B tags of the run")
    clips: int = _key(4, "number of held-out clips whose audio is logged", least=0)
    every_validations: int = _key(5, "validations between two logs of audio", least=1)
    extra: dict[str, Any] = _key(
        {}, "further loggers, Lightning's or yours: +logger.extra.NAME._target_=MODULE.CLASS"
    )


@dataclass
class AlarmsConfig:
    """When a training raises an alarm, because a number is beyond its limit (`limits.*`)."""

    grace_steps: int = _key(100, "raise no alarm in the first steps, this many", least=0)
    patience: int = _key(3, "validations in a row beyond a limit that raise an alarm", least=1)


@dataclass
class PhaseConfig:
    """One phase of a training. A key that is left out has the value of a training without phases.

    The first phase begins at step 0, every later one at `from_step` or at `from_share`.
    """

    name: str = _key("", "name of the phase in logs")
    from_step: int | None = _key(None, "the step at which it begins")
    from_share: float | None = _key(None, "the share of the training (0 to 1) at which it begins")
    weights: dict[str, Any] = _section(dict)
    """Weights by term, in place of the loss's and the latent's (NAME/TERM for an adversary's)."""
    train: list[str] | None = _key(None, "parts of the model that are trained (null: all)")
    adversaries: list[str] | None = _key(None, "names of loss.adversaries to use (null: all)")


@dataclass
class PriorConfig:
    """What draws new sounds, fitted after training."""

    kind: PriorKind = _key(
        PriorKind.auto,
        "auto: bank for hits and notes, resample for textures; gaussian: moments of all codes; "
        "flow: a network that draws hits and notes whole, fitted in up to two minutes",
    )
    texture: TextureKind = _key(
        TextureKind.quilt,
        "textures of auto and resample: quilt: pieces of a recording in another order; var: every "
        "frame drawn by a vector autoregression of one recording",
    )
    bank: bool = _key(
        True,
        "keep the recordings' codes in the model; false: without them gaussian and flow are left",
    )


@dataclass
class TrainConfig:
    """`timbrel train`."""

    seed: int = _key(0, "seed of all random choices of the run", least=0)
    name: str | None = _key(None, "name of the run (default: data, architecture and latent)")
    run: str | None = _key(None, "run folder to resume; only device and logger may change")
    trust: bool = _key(
        False,
        "true: run= and reproduce= run code outside timbrel and torch that the config names",
    )
    data_root: str | None = _key(
        None, "new folder of the recordings of run= or reproduce=, if they have moved"
    )
    reproduce: str | None = _place(
        None, "run folder of a finished training to repeat and compare with"
    )
    init_from: str | None = _place(
        None, "model bundle or run folder whose weights the training starts from"
    )
    dry_run: bool = _key(False, "build and check everything, print a summary, write nothing")
    objective: str | None = _key(
        None,
        "number for a sweeper: validation/loss, PART/SCORE (as validation/mrstft), gates/GATE, "
        "model/parameters, model/context_ms, model/real_time",
    )
    data: DataConfig = _section(DataConfig)
    architecture: dict[str, Any] = _section(dict)
    latent: dict[str, Any] = _section(dict)
    augmentation: dict[str, Any] = _section(dict)
    loss: dict[str, Any] = _section(dict)
    prior: PriorConfig = _section(PriorConfig)
    optimizer: dict[str, Any] = _section(dict)
    callbacks: dict[str, Any] = _section(dict)
    device: DeviceConfig = _section(DeviceConfig)
    trainer: TrainerConfig = _section(TrainerConfig)
    logger: LoggerConfig = _section(LoggerConfig)
    alarms: AlarmsConfig = _section(AlarmsConfig)
    limits: LimitsConfig = _section(LimitsConfig)  # type: ignore[valid-type]
    phases: list[PhaseConfig] = _key(
        [], "phases of the training: {name, from_step or from_share, weights, train, adversaries}"
    )


@dataclass
class InspectConfig:
    """`timbrel inspect`."""

    data: DataConfig = _section(DataConfig)
    output: str | None = _key(None, "CSV file to write, one row per recording")
    report: str | None = _key(
        "outputs/inspect_${timbrel.short:${data.name}}.html",
        "HTML page to write, with pictures; null: no page",
    )
    attributes: bool = _key(True, "measure attributes (pitch, brightness, attack ...) for the page")
    pitch: Pitch = _key(Pitch.yin, "how f0 is measured: yin, or crepe (slower; timbrel[crepe])")
    workers: int | None = _key(
        None, "processes that read files (default: by the number of cores)", least=0
    )
    augmentation: dict[str, Any] = _section(dict)


@dataclass
class EvaluateSection:
    """What is measured, and whether a failed gate sets the exit status."""

    parts: list[str] = _key(["train", "validation", "test"], "parts of the split that are scored")
    strict: bool = _key(False, "exit with status 1 if a gate fails")
    bootstrap_draws: int = _key(
        2000, "bootstrap draws for each confidence interval over files", least=100
    )
    generated_clips: int = _key(32, "clips to generate from the prior and score; 0: none", least=0)
    embedding: Embedding = _key(
        Embedding.log_mel,
        "embedding for kernel and Fréchet distance: log_mel, or aisfx (a package to install)",
    )
    second_pitch: SecondPitch = _key(
        SecondPitch.none, "another judge of pitch: none, or swift_f0 (timbrel[swiftf0])"
    )


@dataclass
class EvaluateConfig:
    """`timbrel evaluate`."""

    run: str = _key("???", "run folder to evaluate")
    data_root: str | None = _key(None, "new folder of its recordings, if they have moved")
    output: str | None = _key(None, "folder for tables, sounds and page (default: the run folder)")
    seed: int = _key(0, "seed of the noise control, the generated clips and the intervals", least=0)
    evaluate: EvaluateSection = _section(EvaluateSection)
    limits: LimitsConfig = _section(LimitsConfig)  # type: ignore[valid-type]
    device: DeviceConfig = _section(DeviceConfig)


@dataclass
class PriorStageConfig:
    """`timbrel prior`."""

    run: str = _key("???", "run folder whose model gets the prior")
    data_root: str | None = _key(None, "new folder of its recordings, if they have moved")
    prior: PriorConfig = _section(PriorConfig)
    device: DeviceConfig = _section(DeviceConfig)


@dataclass
class AnalyzeConfig:
    """`timbrel analyze`."""

    run: str = _key("???", "run folder whose model gets sliders")
    data_root: str | None = _key(None, "new folder of its recordings, if they have moved")
    profile: AnalysisProfile = _key(
        AnalysisProfile.full, "quick: a minute, on fewer sounds, labelled so; full: minutes"
    )
    seed: int = _key(0, "seed of random directions and intervals", least=0)
    limits: SliderLimitsConfig = _section(SliderLimitsConfig)  # type: ignore[valid-type]
    device: DeviceConfig = _section(DeviceConfig)


OPEN_SECTIONS = frozenset(
    {"architecture", "latent", "augmentation", "loss", "optimizer", "callbacks", "logger.extra"}
)
"""Sections whose keys are names of `_target_`s and their arguments, not fields of the schema."""


def in_open_section(key: str) -> bool:
    """Whether `key` lies below one of the open sections.

    >>> in_open_section("logger.extra.csv.name"), in_open_section("logger.mode")
    (True, False)
    """
    return any(key.startswith(f"{section}.") for section in OPEN_SECTIONS)
