"""What can be measured of a sound: names, units, ranges, when it is defined, how exactly.

`noise` is the repeat error: what `repeatability.repeat_error` finds on its reference clips when
nothing that matters has changed. A difference below it says nothing. It holds for whole clips: None
for what only frames have. `frame_noise` is the same of a latent frame, where it was measured.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Attribute:
    """One attribute: its name, what its numbers mean, and where it has none.

    Values lie within `low` and `high`, in `unit` ("": a plain number); where an attribute is
    undefined its value is `low`. `defined` says where it is defined: `sound` wherever there is any,
    `voiced` where an f0 is believed, `onset` where the audio holds one, `stereo` where there are
    two channels. `logarithmic` asks for a logarithmic axis.
    """

    name: str
    words: str
    unit: str
    low: float
    high: float
    noise: float | None
    defined: Literal["sound", "voiced", "onset", "stereo"] = "sound"
    level_invariant: bool = True
    per_frame: bool = False
    per_clip: bool = True
    logarithmic: bool = False
    frame_noise: float | None = None


ATTRIBUTES = (
    Attribute("loudness_lufs", "loudness", "LUFS", -70.0, 20.0, 0.08, level_invariant=False),
    Attribute(
        "level_a_db", "A-weighted level", "dBFS(A)", -120.0, 20.0, None,
        level_invariant=False, per_frame=True, per_clip=False,
    ),
    Attribute(
        "level_k_db", "K-weighted level", "dBFS(K)", -120.0, 20.0, None,
        level_invariant=False, per_frame=True, per_clip=False,
    ),
    Attribute(
        "f0_hz", "fundamental", "Hz", 20.0, 5000.0, 0.02, "voiced",
        per_frame=True, logarithmic=True,
    ),
    Attribute(
        "log_f0_octaves", "log fundamental", "octaves above 1 Hz", 4.0, 13.0, 2e-4, "voiced",
        frame_noise=0.01,
    ),
    Attribute(
        "centroid_hz", "spectral centroid", "Hz", 0.0, 96_000.0, 20.0,
        per_frame=True, logarithmic=True,
    ),
    Attribute(
        "log_centroid_octaves", "log centroid", "octaves above 1 Hz", 0.0, 17.0, 0.006,
        frame_noise=0.05,
    ),
    Attribute(
        "centroid_over_f0_octaves", "centroid above the fundamental", "octaves", -7.0, 12.0, 0.006,
        "voiced", per_frame=True,
    ),
    Attribute(
        "rolloff_hz", "85 % roll-off", "Hz", 0.0, 96_000.0, 25.0, per_frame=True, logarithmic=True
    ),
    Attribute("flatness", "spectral flatness", "", 0.0, 1.0, 0.005, per_frame=True),
    Attribute("hnr_db", "harmonic-to-noise ratio", "dB", -20.0, 40.0, 0.25, per_frame=True),
    Attribute("inharmonicity", "inharmonicity", "", 0.0, 0.02, 1e-9, "voiced", logarithmic=True),
    Attribute("log_attack_time", "log attack time", "log10 s", -4.0, 1.0, 0.03, "onset"),
    Attribute("decay_db_per_s", "decay", "dB/s", -1000.0, 10_000.0, 0.5, "onset"),
    Attribute("onsets_per_s", "onset rate", "onsets/s", 0.0, 25.0, 0.0, "onset"),
    Attribute("width", "stereo width", "", 0.0, 1.0, 1e-5, "stereo", per_frame=True),
    Attribute("decorrelation", "decorrelation", "", 0.0, 1.0, 1e-5, "stereo"),
)  # fmt: skip
CLIP_ATTRIBUTES = tuple(attribute for attribute in ATTRIBUTES if attribute.per_clip)
FRAME_ATTRIBUTES = tuple(attribute for attribute in ATTRIBUTES if attribute.per_frame)
FRAME_LOGARITHMS = {
    "log_f0_octaves": "f0_hz",
    "log_centroid_octaves": "centroid_hz",
    "log_rolloff_octaves": "rolloff_hz",
}
"""Frame attributes measured in hertz, in octaves above 1 Hz: equal intervals are equal differences,
so that one dead zone fits low and high sounds."""
_OLD_NAMES = {name.removesuffix("_octaves"): name for name in FRAME_LOGARITHMS}


def name_of_now(name: str) -> str:
    """An attribute by the name that it has now; configs of earlier runs may have an older one.

    >>> name_of_now("log_f0"), name_of_now("flatness")
    ('log_f0_octaves', 'flatness')
    """
    return _OLD_NAMES.get(name, name)


@cache
def code_version() -> str:
    """A digest of the code that measures: what is kept under another one is measured anew."""
    folder = Path(__file__).parent
    used = [folder.parent / "audio" / "level.py", folder.parent / "dsp" / "mel.py"]
    digest = hashlib.blake2b(digest_size=8)
    for file in (*sorted(folder.glob("*.py")), *used):
        digest.update(file.read_bytes())
    return digest.hexdigest()
