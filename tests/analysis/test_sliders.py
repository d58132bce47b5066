"""What an analysis finds in a small stereo model: a width, by gains of mid and side."""

import numpy as np
import pytest
import torch

from bundles import small_model
from timbrel.analysis.slider_candidates import Codes, Profile
from timbrel.analysis.sliders import find_sliders
from timbrel.contracts import Latent
from timbrel.generation.controls.apply import Playable, playable
from timbrel.metrics.sliders import AXES, on_axes

TINY = Profile("tiny", 4, 2, 2, components=0, learned=False)


def sounds(count: int, first: int) -> list[Playable]:
    model, _ = small_model(channels=2)
    model.decoder.magnitude.bias -= 6.0
    for level in (model.decoder.magnitude, model.decoder.noise):
        level.bias[model.decoder.bins :] -= 1.5  # the side, below the mid
    found = []
    for seed in range(first, first + count):
        rng = torch.Generator().manual_seed(seed)
        fall = torch.linspace(0, -1, 40)
        frames = torch.randn(1, 6, 40, generator=rng) + fall
        found.append(playable(model, Latent(frames, torch.zeros(1, 0))))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "said"),
    [(0.0, "what moves it in the code comes to 0."), (5.0, "since the model does not hold it")],
)
def test_a_stereo_model_has_a_slider_of_its_width(error: float, said: str) -> None:
    validation, test = sounds(2, 0), sounds(2, 10)
    rng = np.random.default_rng(0)
    found = find_sliders(
        validation[0].model,
        training=np.stack([on_axes(sound.measured) for sound in [*validation, *test]]),
        codes=Codes(rng.standard_normal((4, 6)), rng.standard_normal((8, 6)), {}),
        reconstruction_errors=np.full((4, len(AXES)), error),
        validation=validation,
        test=test,
        anchors=["a", "b"],
        profile=TINY,
        seed=0,
    )
    slider = found.mapper.sliders["width"]
    assert (slider.verdict, slider.operator) == ("dsp", "width")
    assert slider.why.startswith("by a filter behind the decoder")
    assert said in slider.why
    assert slider.scores["sdot"] > 0.9
    assert slider.scores["open_loop_error"] < 0.01
    assert slider.reach[1] > 0.2
