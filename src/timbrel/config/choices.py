"""The choices of config keys that take one of a few names."""

from enum import StrEnum


class DataKind(StrEnum):
    """Where clips come from."""

    folder = "folder"
    demo = "demo"


class Downmix(StrEnum):
    """How a stereo file becomes mono."""

    mean = "mean"
    left = "left"
    loudest = "loudest"


class Normalise(StrEnum):
    """The level that each file is set to."""

    peak = "peak"
    loudness = "loudness"


class PriorKind(StrEnum):
    """What draws the new sounds of a model."""

    auto = "auto"
    bank = "bank"
    resample = "resample"
    gaussian = "gaussian"
    flow = "flow"


class TextureKind(StrEnum):
    """How new textures are drawn."""

    quilt = "quilt"
    var = "var"


class Short(StrEnum):
    """How a clip shorter than a chunk fills it."""

    pad = "pad"
    loop = "loop"
    repeat = "repeat"


class Accelerator(StrEnum):
    """The kind of device that computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Precision(StrEnum):
    """The number format of the networks' arithmetic (weights stay fp32)."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class LoggerKind(StrEnum):
    """The logger of curves, in addition to metrics.csv."""

    none = "none"
    wandb = "wandb"


class LoggerMode(StrEnum):
    """Whether W&B may use the network."""

    offline = "offline"
    online = "online"


class Pitch(StrEnum):
    """The method that measures f0."""

    yin = "yin"
    crepe = "crepe"


class SecondPitch(StrEnum):
    """Who else judges the pitch of reconstructions."""

    none = "none"
    swift_f0 = "swift_f0"


class Embedding(StrEnum):
    """The embedding in which sets of sounds are compared."""

    log_mel = "log_mel"
    aisfx = "aisfx"


class AnalysisProfile(StrEnum):
    """How much is tried for sliders."""

    quick = "quick"
    full = "full"


class PresetPlace(StrEnum):
    """Where a preset is kept."""

    user = "user"
    model = "model"


# Not a class: one of its names is a word of Python's.
Source = StrEnum(
    "Source",
    ["prior", "file", "vary", "between", "continue", "fill", "preset", "midi", "keys"],
)
"""Where generation takes its latents from."""


class ExportFormat(StrEnum):
    """The container of exported audio."""

    wav = "wav"
    flac = "flac"
