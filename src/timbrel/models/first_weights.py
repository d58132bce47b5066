"""First weights from the recordings, by least squares, in place of random ones."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.contracts import Batch, Conditions, Latent
from timbrel.dsp.mel import mel_filterbank
from timbrel.dsp.mid_side import mid_side
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.heard_parts import sounding, spectrum_power
from timbrel.models.least_squares import Line, Moments, solved
from timbrel.models.posteriors import sample
from timbrel.models.seen import code_and_tracks

_RIDGE = 0.01
_BANDS = 80
_RANGE = 7.0  # nepers below the level of its frame, below which a band tells nothing
_LEAST_FRAMES = 100.0  # of fewer nothing is fitted
_TINY = 1e-12


class Wanted(NamedTuple):
    """What a layer should say of every frame, and how much each frame counts."""

    layer: nn.Linear
    values: Float[Tensor, "batch frame out"]
    weight: Float[Tensor, "batch frame"]


@runtime_checkable
class Fitted(Protocol):
    """A decoder that knows what its last layers should say of a recording.

    It takes tracks, the level among them. `features` are what these layers read.
    """

    conditions: tuple[str, ...]
    window: Tensor
    hop_samples: int

    def features(self, latent: Latent, /) -> Float[Tensor, "batch frame width"]: ...

    def wanted(
        self, audio: Float[Tensor, "batch channel time"], conditions: Conditions, /
    ) -> Sequence[Wanted]: ...


def fits_first(model: Autoencoder) -> bool:
    """Whether `fit_first` has something to fit."""
    return isinstance(model.decoder, Fitted)


@torch.no_grad()
def fit_first(
    model: Autoencoder, batches: Sequence[Batch], draw: Callable[[int], torch.Generator]
) -> bool:
    """Fit the last layers of encoder and decoder to `batches`; the others keep random weights.

    Features of random layers with a least-squares readout are a good model already (random
    features, Rahimi & Recht 2007), and the training begins there:

    - the frame code is the principal components, each of variance 1, of what the encoder's
      features tell of the spectrum (levels of mel bands beside the level of the frame) and the
      tracks do not (where the posterior has a linear layer `frame_mean`);
    - every layer that the decoder names says what it `wanted`, as far as its features tell.

    The codes of a batch are drawn with the generator that `draw` gives for its number, so that
    the fit allows for the noise of the posterior. Counterfactual batches do not serve.

    Returns whether enough sounds; else nothing is changed.
    """
    decoder, head = model.decoder, getattr(model.posterior, "frame_mean", None)
    assert isinstance(decoder, Fitted)
    training = model.training
    model.eval()  # no dropout
    told = _told(model, decoder, batches)
    if told.weight < _LEAST_FRAMES:
        model.train(training)
        return False
    if isinstance(head, nn.Linear):
        _put(head, _code(told, head.in_features, model.latent_dim))
    sums: dict[nn.Linear, Moments] = {}
    for number, batch in enumerate(batches):
        posterior = model.encode(batch.input, batch.conditions)
        features = decoder.features(sample(posterior, draw(number)))
        for layer, values, weight in decoder.wanted(mid_side(batch.target), batch.conditions):
            sums.setdefault(layer, Moments()).add(features, values, weight)
    for layer, moments in sums.items():
        if moments.weight >= _LEAST_FRAMES:
            _put(layer, moments.line(_RIDGE))
    model.train(training)
    return True


def _told(model: Autoencoder, decoder: Fitted, batches: Sequence[Batch]) -> Moments:
    """Of the encoder's features and the tracks, with what is to be told of the spectrum."""
    moments = Moments()
    for batch in batches:
        features = model.encoder(mid_side(batch.input))
        none = features.new_zeros(len(features), 0, features.shape[1])
        tracks = code_and_tracks(Latent(none, none[..., 0], batch.conditions), decoder.conditions)
        spectrum, weight = _described(mid_side(batch.target), decoder, model.sample_rate_hz)
        moments.add(torch.cat([features, tracks], dim=2), spectrum, weight)
    return moments


def _code(told: Moments, width: int, latent_dim: int) -> Line:
    """From the `width` features to principal components of what the tracks do not tell."""
    of_x, with_y = told.covariances
    by_tracks = solved(of_x[width:, width:], with_y[width:], ridge=_RIDGE)
    left = with_y[:width] - of_x[:width, width:] @ by_tracks
    within = of_x[:width, :width]
    heard = solved(within, left, ridge=_RIDGE)
    variances, directions = torch.linalg.eigh(heard.T @ within @ heard)
    kept = min(latent_dim, len(variances))
    scale = variances[-kept:].clamp_min(_TINY).rsqrt()
    components = (heard @ directions[:, -kept:] * scale).flip(1)
    largest = components.gather(0, components.abs().argmax(0, keepdim=True))
    components = components * largest.sign()  # else rounding might turn one around
    weight = torch.zeros(latent_dim, width, dtype=torch.float64)
    weight[:kept] = components.T
    return Line(weight, -weight @ told.means[0][:width])


def _described(
    audio: Float[Tensor, "batch channel time"], decoder: Fitted, sample_rate_hz: int
) -> tuple[Float[Tensor, "batch frame band"], Float[Tensor, "batch frame"]]:
    """Log levels of mel bands beside that of the frame, and how much frames count."""
    found = spectrum_power(audio, decoder.window, decoder.hop_samples)
    level, weight = sounding(found)
    bands = torch.from_numpy(mel_filterbank(sample_rate_hz, len(decoder.window), _BANDS)).to(found)
    in_bands = 0.5 * (found @ bands.T).clamp_min(_TINY).log().flatten(2)
    return (in_bands - level[..., None]).clamp_min(-_RANGE), weight


def _put(layer: nn.Linear, line: Line) -> None:
    layer.weight.copy_(line.weight)
    layer.bias.copy_(line.bias)
