"""Changes to training audio: what they are, and what is known of a sound after them."""

from timbrel.data.augmentation.audiomentations_transform import Audiomentations
from timbrel.data.augmentation.augment import Augment
from timbrel.data.augmentation.chain import Chain
from timbrel.data.augmentation.change import UNCHANGED, Audio, Change, Changed, Transform
from timbrel.data.augmentation.colour import Equaliser, Filter, Noise, Tilt
from timbrel.data.augmentation.counterfactual import Counterfactual
from timbrel.data.augmentation.level import DecayRamp, Gain, Polarity
from timbrel.data.augmentation.masking import Mask
from timbrel.data.augmentation.mixing import Mix
from timbrel.data.augmentation.pedalboard_effect import Pedalboard
from timbrel.data.augmentation.pitch import PitchShift, TimeStretch
from timbrel.data.augmentation.room import Compressor, Room
from timbrel.data.augmentation.speed import Varispeed

__all__ = [
    "UNCHANGED",
    "Audio",
    "Audiomentations",
    "Augment",
    "Chain",
    "Change",
    "Changed",
    "Compressor",
    "Counterfactual",
    "DecayRamp",
    "Equaliser",
    "Filter",
    "Gain",
    "Mask",
    "Mix",
    "Noise",
    "Pedalboard",
    "PitchShift",
    "Polarity",
    "Room",
    "Tilt",
    "TimeStretch",
    "Transform",
    "Varispeed",
]
