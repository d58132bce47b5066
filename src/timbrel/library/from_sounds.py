"""Sounds made of sounds: like one, on the line between two, and on behind one's end."""

from timbrel.generation.prior.bank import Bank, BankClip
from timbrel.generation.prior.barycentre import BarycentrePrior, line
from timbrel.generation.prior.draw import Draw
from timbrel.generation.prior.resample import ResamplePrior
from timbrel.library.render_settings import RenderSettings
from timbrel.models.autoencoder import Autoencoder


def varied(
    model: Autoencoder,
    bank: Bank,
    sound: BankClip,
    settings: RenderSettings,
    n_samples: int | None,
) -> Draw:
    """Another sound like `sound`, of `settings.strength` and `settings.seed`."""
    prior = BarycentrePrior(bank, hop_samples=model.hop_samples)
    return prior.vary(
        sound,
        settings.strength,
        settings.seed,
        n_samples=n_samples,
        length=settings.length,
    )


def continued(
    model: Autoencoder, sound: BankClip, settings: RenderSettings, n_samples: int | None
) -> Draw:
    """`sound` and what goes on like it, by default as long again."""
    alone = ResamplePrior(
        Bank((sound,), model.conditions),
        hop_samples=model.hop_samples,
        sample_rate_hz=model.sample_rate_hz,
    )
    return alone.go_on(
        sound,
        settings.seed,
        n_samples=n_samples or 2 * sound.end_frame * model.hop_samples,
        temperature=settings.temperature,
    )


def between(
    model: Autoencoder,
    sound: BankClip,
    other: BankClip,
    settings: RenderSettings,
    n_samples: int | None,
) -> Draw:
    """The sound at `settings.position` between the two, or moving to `settings.position_to`."""
    return line(
        sound,
        other,
        settings.position,
        model.conditions,
        to=settings.position_to,
        length=settings.length,
        hop_samples=model.hop_samples,
        n_samples=n_samples,
    )
