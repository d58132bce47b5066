"""What a key of the config may be, where it is one of a few names."""

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
    """To what each file's level is brought."""

    peak = "peak"
    loudness = "loudness"


class Short(StrEnum):
    """How a clip shorter than a chunk fills it."""

    pad = "pad"
    loop = "loop"
    repeat = "repeat"


class Accelerator(StrEnum):
    """What computes."""

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
    """Who keeps the curves, beside metrics.csv."""

    none = "none"
    wandb = "wandb"


class LoggerMode(StrEnum):
    """Whether W&B may use the network."""

    offline = "offline"
    online = "online"


class Pitch(StrEnum):
    """How f0 is looked for."""

    yin = "yin"
    crepe = "crepe"


class SecondPitch(StrEnum):
    """Who else judges the pitch of reconstructions."""

    none = "none"
    swift_f0 = "swift_f0"


class Embedding(StrEnum):
    """By what sets of sounds are compared."""

    log_mel = "log_mel"
    aisfx = "aisfx"


class Source(StrEnum):
    """Where generation takes its latents from."""

    file = "file"
    prior = "prior"


class ExportFormat(StrEnum):
    """The container of exported audio."""

    wav = "wav"
    flac = "flac"
