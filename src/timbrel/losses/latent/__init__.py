"""Penalties on the posterior, one idea per file."""

from timbrel.losses.latent.adversarial import FactorVAE
from timbrel.losses.latent.attribute_order import AttributeOrder
from timbrel.losses.latent.capacity import Capacity
from timbrel.losses.latent.dip import DIP
from timbrel.losses.latent.floors import FreeBits, KLFloor
from timbrel.losses.latent.mmd import MMD
from timbrel.losses.latent.penalty import Penalty
from timbrel.losses.latent.rate import KL, kl_nats, nats_per_frame, rate_nats
from timbrel.losses.latent.total_correlation import BetaTC

__all__ = [
    "DIP",
    "KL",
    "MMD",
    "AttributeOrder",
    "BetaTC",
    "Capacity",
    "FactorVAE",
    "FreeBits",
    "KLFloor",
    "Penalty",
    "kl_nats",
    "nats_per_frame",
    "rate_nats",
]
