"""The limits on what reconstructions hold of a sound, a part of `timbrel.config.limits`."""

from timbrel.config.limit import Limit

_HOLD_PITCH = "train longer, or with architecture=harmonic, which plays the measured pitch"


def _held(attribute: str) -> Limit:
    """A limit on the median error of an attribute, as a share of the recordings' own range."""
    return Limit(
        key=f"{attribute}_error",
        default=0.15,
        direction="at_most",
        help=f"median error of the {attribute} of reconstructions over its range in the recordings "
        "(5 to 95 %), at most",
        title=f"{attribute} error over range",
        better="lower",
        held=f"the model holds {attribute} (median error over the recordings' range; {{counts}})",
        broken=f"the model does not hold {attribute} (median error over the recordings' range; "
        "{counts}): train longer, or give it more latent values (architecture.latent_dim)",
        attribute=attribute,
    )


ATTRIBUTE_LIMITS = {
    "pitch": Limit(
        key="pitch",
        default=0.8,
        direction="at_least",
        help="held-out recordings with a pitch whose reconstruction is within 50 cents of it, as "
        "a share, at least",
        title="recordings in tune",
        better="higher",
        held="the model holds pitch (share of recordings with a pitch that come out within 50 "
        "cents; {counts})",
        broken="the model does not hold pitch (share of recordings with a pitch that come out "
        "within 50 cents; {counts}): " + _HOLD_PITCH,
        attribute="pitch",
    ),
    "level": _held("level"),
    "brightness": _held("brightness"),
    "noisiness": _held("noisiness"),
    "attack": _held("attack"),
    "decay": _held("decay"),
    "frame_rate_lines": Limit(
        key="frame_rate_lines_db",
        default=3.0,
        direction="at_most",
        help="how far lines at the frame rate stand out, mean over held-out recordings, in dB, at "
        "most",
        title="frame-rate lines",
        unit="dB",
        better="lower",
        held="reconstructions do not hum at the model's frame rate ({rate_hz:g} Hz; dB)",
        broken="reconstructions hum at multiples of the model's frame rate ({rate_hz:g} Hz; dB "
        "that these lines stand out): " + _HOLD_PITCH,
    ),
    "ringing": Limit(
        key="ringing_db",
        default=3.0,
        direction="at_most",
        help="how much rougher the spectrum of noise is, mean over held-out recordings, in dB, at "
        "most",
        title="ringing",
        unit="dB",
        better="lower",
        held="what is noise in recordings comes out as noise (roughness of its spectrum beside "
        "theirs, dB; {counts})",
        broken="what is noise in recordings comes out as steady tones and rings (roughness of its "
        "spectrum beside theirs, dB; {counts}): train longer",
    ),
}
