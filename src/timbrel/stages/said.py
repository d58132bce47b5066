"""What a line says of a sound that was written."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from timbrel.words import printable

if TYPE_CHECKING:
    from timbrel.audio.export import ExportReport, ExportSettings
    from timbrel.library.render_settings import Rendering, RenderSettings


def said_of(rendering: "Rendering", settings: "RenderSettings", asked: Mapping[str, float]) -> str:
    """What became of the notes, the length, the attributes and the novelty that were asked for."""
    said = "" if settings.seconds is None else _length_said(rendering)
    said += "".join(f", {printable(notice)}" for notice in rendering.notices)
    for name, value in rendering.attributes.items():
        said += f", {name} {'unknown' if value is None else f'{value:.4g}'} (asked {asked[name]:g})"
    if follows := rendering.metadata.get("follow"):
        said += f", follows {printable(follows['file'])} ({follows['semitones']:+g} semitones)"
    fitting = rendering.metadata.get("file")
    if fitting and fitting["transpose"]:
        said += f", transposed by {fitting['semitones']:+g} semitones"
    for landing in rendering.landings:
        said += f", {landing.control} {landing.words}"
        said += "" if landing.reached else " (as far as its slider reaches)"
    if rendering.nearest is not None:
        near, share = printable(rendering.nearest.name), rendering.nearest.share
        said += f", nearest recording {near} at {share:.2f}"
        if share < settings.novelty:
            said += f", below novelty={settings.novelty:g} however often it was drawn"
    return said


def _length_said(rendering: "Rendering") -> str:
    """What `seconds` did to a sound that has an end of its own."""
    if rendering.own_samples is None:
        return ""
    own_s = rendering.own_samples / rendering.rate_hz
    if rendering.n_samples > rendering.own_samples:
        return f", ends after {own_s:.2f} s; silence behind it"
    return ", cut before its own end" if rendering.cut else ""


def line_of(report: "ExportReport", settings: "ExportSettings") -> str:
    """`a.wav: 4.00 s, peak -1.0 dBTP, gain reduced by 2.3 dB to stay under -1 dBTP`."""
    peak = report.true_peak_dbtp
    text = f"{printable(str(report.path))}: {report.n_samples / report.rate_hz:.2f} s, " + (
        "silent" if peak == float("-inf") else f"peak {peak:.1f} dBTP"
    )
    if report.gain_db < 0:
        text += (
            f", gain reduced by {-report.gain_db:.1f} dB "
            f"to stay under {settings.ceiling_dbtp:g} dBTP"
        )
    return text
