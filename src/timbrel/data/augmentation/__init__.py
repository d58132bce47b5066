"""Changes to training audio: what they are, and what is known of a sound after them."""

from timbrel.data.augmentation.chain import Augment, Chain
from timbrel.data.augmentation.change import UNCHANGED, Audio, Change, Changed, Transform
from timbrel.data.augmentation.level import Gain, Polarity
from timbrel.data.augmentation.masking import Mask
from timbrel.data.augmentation.mixing import Mix
from timbrel.data.augmentation.speed import Varispeed

__all__ = [
    "UNCHANGED",
    "Audio",
    "Augment",
    "Chain",
    "Change",
    "Changed",
    "Gain",
    "Mask",
    "Mix",
    "Polarity",
    "Transform",
    "Varispeed",
]
