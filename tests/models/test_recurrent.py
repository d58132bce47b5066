"""A recurrent stack: its state is that of a GRU, goes on from block to block, and is learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.presets import build, tracks
from timbrel.contracts import Conditions, DecoderState, Latent
from timbrel.generation.engine import decode_stream
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.dropout import drawing
from timbrel.models.recurrent import RecurrentStack

WIDTH, FRAMES = 6, 40
SMALL = {"encoder": {"width": 16, "blocks": 1}, "latent_dim": 4}


def stack(*, width: int = WIDTH, blocks: int = 3, dropout: float = 0.0) -> RecurrentStack:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return RecurrentStack(width=width, blocks=blocks, expansion=2, dropout=dropout)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def instrument(*, channels: int = 1, **settings: float) -> Autoencoder:
    """Untrained and yet not alike from frame to frame: its heads have large weights."""
    decoder = {"blocks": 2, "partials": 20, "stack": "recurrent", **settings}
    model = build("ddsp", channels=channels, decoder=decoder, **SMALL)
    nn.init.normal_(model.decoder.amplitude.weight, generator=torch.Generator().manual_seed(2))
    return model.eval().requires_grad_(False)


def melody(n_frames: int) -> Latent:
    """A code of noise, its pitch on the way up and down."""
    f0_hz = 2 ** (7.5 + torch.sin(torch.linspace(0.0, 20.0, n_frames)))[None]
    given = Conditions(
        f0_hz=f0_hz,
        confidence=torch.full_like(f0_hz, 0.7),
        loudness_db=torch.full_like(f0_hz, -30.0),
        centroid_hz=3 * f0_hz,
    )
    return Latent(noise(1, 4, n_frames, seed=1), torch.zeros(1, 0), given)


def test_a_state_is_that_of_the_equations() -> None:
    """Cho et al. 2014, eqs. 5 to 8, with the reset gate behind the product, as torch has it."""
    network = stack(blocks=0)
    x = noise(2, 5, WIDTH)
    seen = network.norm(network.input_norm(x))
    gru, state, wanted = network.gru, torch.zeros(2, WIDTH), []
    for frame in seen.unbind(1):
        given = (frame @ gru.weight_ih_l0.T + gru.bias_ih_l0).chunk(3, dim=1)
        before = (state @ gru.weight_hh_l0.T + gru.bias_hh_l0).chunk(3, dim=1)
        reset, keep = (torch.sigmoid(given[i] + before[i]) for i in (0, 1))
        state = (1 - keep) * torch.tanh(given[2] + reset * before[2]) + keep * state
        wanted.append(state)
    features, states = network(x)
    torch.testing.assert_close(states, torch.stack(wanted, 1), atol=1e-6, rtol=0)
    torch.testing.assert_close(features, network.output_norm(network.input_norm(x) + states))


def test_no_frame_depends_on_a_later_one_and_all_on_earlier_ones() -> None:
    network, x = stack(), noise(1, FRAMES, WIDTH)
    other = x.clone()
    other[:, 10] += noise(WIDTH, seed=1)
    one, two = network(x)[0], network(other)[0]
    assert torch.equal(one[:, :10], two[:, :10])
    assert (one[:, 10:] != two[:, 10:]).any(2).all()
    assert network.context_frames == 0


@pytest.mark.parametrize("n_known", [1, 20, FRAMES])
def test_what_is_known_is_kept_and_the_rest_goes_on_from_it(n_known: int) -> None:
    network, x = stack(), noise(2, FRAMES, WIDTH)
    features, states = network(x)
    found = network(x, states[:, :n_known])
    assert torch.equal(found[1][:, :n_known], states[:, :n_known])
    torch.testing.assert_close(found[0], features, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], states, atol=1e-6, rtol=0)
    other = network(x, -states[:, :n_known])[1]
    assert torch.equal(other[:, :n_known], -states[:, :n_known])
    if n_known < FRAMES:
        assert (other[:, n_known] - states[:, n_known]).abs().max() > 0.01


def test_gradients_are_those_of_finite_differences() -> None:
    network = stack(width=3, blocks=1).double().eval()  # as a part that rests in training
    names, values = zip(*network.named_parameters(), strict=True)

    def outcome(x: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        given = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(network, given, (x,))

    x = noise(1, 3, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(outcome, (x, *values), eps=1e-6, atol=1e-6, rtol=1e-5)


def test_states_are_fp32_whatever_the_layers_compute_in() -> None:
    network, x = stack(width=32), noise(2, FRAMES, 32)
    features, states = network(x)
    with torch.autocast("cpu", torch.bfloat16):
        half_features, half_states = network(x)
    assert half_states.dtype == torch.float32
    assert 0 < (half_states - states).abs().max() < 0.02
    assert (half_features.float() - features).abs().max() < 0.1


@pytest.mark.parametrize("blocks", [0, 3])
def test_dropout_zeroes_channels_of_every_residual_part(blocks: int) -> None:
    network, x = stack(blocks=blocks, dropout=0.5), noise(4, FRAMES, WIDTH)
    plain, states = network(x)

    def dropped(seed: int) -> tuple[Tensor, Tensor]:
        with drawing(network, torch.Generator().manual_seed(seed)):
            return network(x)

    assert torch.equal(dropped(1)[0], dropped(1)[0])
    assert not torch.equal(dropped(1)[0], dropped(2)[0])
    assert not torch.equal(dropped(1)[0], plain)
    assert torch.equal(dropped(1)[1], states) is (blocks == 0)  # the state itself is not dropped
    assert torch.equal(network(x)[0], plain)


@pytest.mark.parametrize(
    ("channels", "settings"),
    [
        (1, {"room_s": 0.05}),
        (2, {"inharmonicity": 0.002, "brightness": False}),
    ],
)
def test_a_stream_is_the_whole_sound(channels: int, settings: dict[str, float]) -> None:
    model, latent = instrument(channels=channels, **settings), melody(70)
    if model.decoder.room is not None:
        nn.init.normal_(model.decoder.room.taps, std=0.01)
    whole = model.decode(latent)[0].numpy()
    for taken, block_frames in ((7, 1), (70, 7), (50, 64)):
        blocks = [latent.cut(start, start + taken) for start in range(0, 70, taken)]
        streamed = np.concatenate(list(decode_stream(model, blocks, block_frames=block_frames)), 1)
        np.testing.assert_allclose(streamed, whole, atol=1e-4 * np.abs(whole).max())


def test_a_state_that_is_not_handed_on_would_be_heard() -> None:
    model, latent = instrument(), melody(60)
    whole = model.decode_on(latent, DecoderState())
    known = whole.state.cut(0, 30)
    assert known.hidden is not None
    assert known.hidden.shape == (1, 30, 16)
    peak = float(whole.audio.abs().max())
    audio = model.decode_on(latent, known).audio
    torch.testing.assert_close(audio, whole.audio, atol=1e-4 * peak, rtol=0)
    lost = replace(known, hidden=torch.zeros_like(known.hidden))
    assert (model.decode_on(latent, lost).audio - whole.audio).abs().max() > 0.01 * peak


def test_every_weight_learns() -> None:
    model = build("ddsp", decoder={"stack": "recurrent", "partials": 8}, **SMALL)
    audio = 0.1 * noise(1, 1, 8192)
    model.decode(model.encode(audio, tracks(model, 1, 8192)).mean).square().sum().backward()
    assert all((p.grad != 0).any() for p in model.decoder.parameters())


@pytest.mark.parametrize(
    ("architecture", "kind", "millions"),
    [
        ("ddsp", "convolutional", 2.04),
        ("ddsp", "recurrent", 2.43),
        ("ddsp_small", "convolutional", 0.42),
        ("ddsp_small", "recurrent", 0.52),
    ],
)
def test_decoders_are_the_size_that_is_told(architecture: str, kind: str, millions: float) -> None:
    decoder = build(architecture, decoder={"stack": kind}).decoder
    assert sum(p.numel() for p in decoder.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


def test_another_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(Exception, match=r"decoder\.stack=lstm: convolutional or recurrent"):
        build("ddsp", decoder={"stack": "lstm"})
