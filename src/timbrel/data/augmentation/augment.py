"""The augmentation of a training: transforms by name, what is rendered ahead, what stays live.

Nothing here clips or normalises: samples beyond +-1 stay as they are, in float32, and reach the
model so. For head room, give `Gain` a `max_db` of 0 or less.
"""

from collections.abc import Mapping

from timbrel.data.augmentation.chain import Chain, check_part, used_transforms
from timbrel.data.augmentation.change import Transform
from timbrel.data.augmentation.counterfactual import Counterfactual
from timbrel.data.augmentation.masking import Mask
from timbrel.data.augmentation.mixing import Mix
from timbrel.errors import UserError

MOST_EXPANSION = 1000  # beyond it, planning alone would fill the memory


class Augment:
    """What happens to training audio: heavy transforms, light ones, mix, counterfactual, mask.

    `transforms` go by name, so that one of them is an override away; null leaves one out. With
    `expansion` above 0 the heavy ones are rendered that many times per recording before training
    (`ahead`), and only the others stay `live`; with 0 all are live. `mix` adds another recording to
    some examples, `counterfactual` changes the target of some, `mask` hides parts from the encoder,
    never from the target.

    Raises:
        UserError: a list of transforms, or a plain value for a part; an `expansion` below 0 or
            above 1000, or one with nothing to render.
    """

    def __init__(
        self,
        *,
        transforms: Mapping[str, Transform | None],
        mix: Mix | None = None,
        counterfactual: Counterfactual | None = None,
        mask: Mask | None = None,
        expansion: int = 0,
    ) -> None:
        used = used_transforms("augmentation.transforms", transforms)
        parts = {"mix": mix, "counterfactual": counterfactual, "mask": mask}
        for name, part in parts.items():
            check_part(f"augmentation.{name}", part)
        heavy = {name: transform for name, transform in used.items() if transform.heavy}
        light = {name: transform for name, transform in used.items() if not transform.heavy}
        if not 0 <= expansion <= MOST_EXPANSION:
            raise UserError(
                f"augmentation.expansion={expansion}: give 0 (none) to {MOST_EXPANSION} variants"
            )
        if expansion and not heavy:
            raise UserError(
                f"augmentation.expansion={expansion}: nothing in this augmentation is worth "
                "rendering ahead; leave it out, or take augmentation=strong"
            )
        self.expansion = expansion
        self.ahead = Chain(heavy if expansion else {})
        self.live = Chain(light if expansion else heavy | light)
        self.mix = mix if mix is not None and mix.probability > 0 else None
        on = counterfactual is not None and counterfactual.probability > 0
        self.counterfactual = counterfactual if on else None
        self.mask = mask if mask is not None and mask.probability > 0 else None
