"""The instrument: a bundle that encodes and renders, for Python and for the command line."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from timbrel.audio.origin import tag
from timbrel.config.generate_sections import FileConfig
from timbrel.config.sources import ends
from timbrel.contracts import Latent, joined
from timbrel.errors import UserError
from timbrel.generation.controls.given import read_controls
from timbrel.generation.controls.mapper import Mapper
from timbrel.generation.engine import render, shape, silence
from timbrel.generation.file_source import encode_whole
from timbrel.generation.prior.draw import Draw, Prior, described
from timbrel.generation.prior.flow import FlowPrior
from timbrel.generation.prior.recordings import Recordings
from timbrel.library.audio import Audio
from timbrel.library.bundle import Bundle, load_bundle
from timbrel.library.controlling import Led, controlled_draw, followed_draw, led
from timbrel.library.filled import filled
from timbrel.library.fitting import fitted_draw
from timbrel.library.from_sounds import between, continued, varied
from timbrel.library.given import Given
from timbrel.library.mapper_part import mapper_of
from timbrel.library.new_sounds import Chosen, NewSounds
from timbrel.library.playing import Played, played, song
from timbrel.library.presets import (
    as_saved,
    load_preset,
    preset_of,
    preset_paths,
    save_preset,
)
from timbrel.library.prior_part import prior_of, recordings_in
from timbrel.library.render_settings import (
    VARIATIONS,
    Input,
    Rendering,
    RenderSettings,
    Samples,
    check_takes,
    rendering_metadata,
)


class Instrument:
    """A trained model, ready to encode and render. `timbrel.load` makes one."""

    def __init__(self, bundle: Bundle, device: torch.device | str = "cpu") -> None:
        self.bundle = bundle
        self.model = bundle.model.to(device).eval().requires_grad_(False)
        self._given = Given(bundle)

    @cached_property
    def prior(self) -> Prior:
        """What draws new sounds. Raises UserError where the bundle's part `prior` is damaged."""
        return prior_of(self.bundle)

    @cached_property
    def mapper(self) -> Mapper | None:
        """The model's sliders; None where it has none. Raises UserError where they are damaged."""
        return mapper_of(self.bundle)

    @cached_property
    def recordings(self) -> Recordings | None:
        """The training recordings as coarse patterns, to tell whether a sound is new; None: none.

        Raises UserError where the bundle's part `prior` is damaged.
        """
        return recordings_in(self.bundle)

    @property
    def new_sounds(self) -> NewSounds:
        """What chooses a new sound. Raises UserError as `prior`."""
        return NewSounds(self.model, self.prior, lambda: self.recordings, self.name)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.bundle.card.name

    @property
    def sample_rate_hz(self) -> int:
        """The sample rate of the model's input and output."""
        return self.model.sample_rate_hz

    def encode(self, audio: ArrayLike | Path | str) -> Latent:
        """Posterior means of a file, or of samples (time) or (channel time) at the model's rate.

        A file is mixed and normalised as those that the model was trained on; samples are taken
        as they are.

        Raises UserError for a file that cannot be read, for samples that are empty, not finite or
        of another channel count than the model's.
        """
        if isinstance(audio, str | Path):
            latents = list(self._given.file(Path(audio)).blocks())
            return joined(latents)
        samples = np.atleast_2d(np.asarray(audio, np.float32))
        if samples.shape[0] != self.model.channels or samples.ndim != 2 or not samples.size:
            raise UserError(
                f"samples of shape {samples.shape}; this model takes "
                f"({self.model.channels}, time) at {self.sample_rate_hz} Hz"
            )
        if not np.isfinite(samples).all():
            raise UserError("the samples are not finite (NaN or infinity)")
        return encode_whole(self.model, samples)

    def render(
        self,
        *,
        source: str | Path | Latent = "prior",
        input: Input | Sequence[Input] | None = None,
        to: Input | None = None,
        attributes: Mapping[str, float] | None = None,
        controls: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Audio:
        """A sound from the prior, a file (its path), a code, or made of files.

        `source="vary"` gives another sound like the file `input`, `"between"` one on the line from
        `input` to the file `to` (or between the two of `input=[a, b]`), `"continue"` the file and
        what goes on like it, `"fill"` the file with `span=(0.2, 0.6)`, in seconds, drawn anew; a
        preset stands for a file there as "preset:NAME". `"preset"` plays the preset `input`.

        `settings` are those of `RenderSettings`. `seconds` is by default the sound's own length
        where it has one, else 4; twice that of `input` for `"continue"`. A new sound that ends
        before is followed by digital silence, and a file or code is not lengthened. `attributes`
        chooses, of 24 new sounds, the one nearest to them, as {"centroid_hz": 1800}. `"midi"` plays
        the notes of the MIDI file `input` by the new sound, or by `sound`, a file or preset, as
        `midi={"legato": True}` says. `controls`
        move a sound by the model's sliders, as {"brightness_hz": 1800, "pitch_st": 7}, also over
        time, as {"pitch_st": [(0, 0), (1, 12)]} or by a file of such breakpoints; {"follow":
        "voice.wav"} takes loudness, brightness and pitch of a recording. With `precise=True`
        numbers are corrected by decoding and measuring. `file={"transpose": "auto",
        "match_timbre": True}` fits a file of another instrument to what the model has heard.

        Raises UserError for values out of range or that the source does not take, an unreadable
        file, a model whose output is not finite, and for controls that it has no sliders for.
        """
        rendering = self.prepare(
            RenderSettings(**settings),
            source=source,
            input=input,
            to=to,
            attributes=attributes,
            controls=controls,
        )
        samples = np.concatenate(list(rendering.blocks), axis=1)
        return Audio(samples, rendering.rate_hz, rendering.metadata)

    def render_blocks(
        self,
        *,
        source: str | Path | Latent = "prior",
        input: Input | Sequence[Input] | None = None,
        to: Input | None = None,
        attributes: Mapping[str, float] | None = None,
        controls: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Iterator[Samples]:
        """What `render` gives, block by block; in constant memory but for `vary`,
        `between` and `fill`.
        """
        return self.prepare(
            RenderSettings(**settings),
            source=source,
            input=input,
            to=to,
            attributes=attributes,
            controls=controls,
        ).blocks

    def prepare(
        self,
        settings: RenderSettings,
        *,
        source: str | Path | Latent = "prior",
        input: Input | Sequence[Input] | None = None,
        to: Input | None = None,
        attributes: Mapping[str, float] | None = None,
        controls: Mapping[str, Any] | None = None,
    ) -> Rendering:
        """All checks made, nothing decoded yet."""
        wanted = settings.seconds
        asked = None if wanted is None else max(1, round(wanted * self.sample_rate_hz))
        given = read_controls(controls)
        lead = None
        if given.following is not None:
            file = self._given.file(given.following.path)
            lead = led(self.model, given.following, file, self.name)
            asked = lead.n_samples if asked is None else min(asked, lead.n_samples)
        kind = check_takes(source, settings, input=input, to=to, attributes=attributes)
        input, to = ends(input, to)
        wished = {name: float(value) for name, value in (attributes or {}).items()}
        if kind in ("midi", "keys") and (given.moves or lead is not None):
            raise UserError(f"controls: not with source={kind}; leave them out")
        if kind == "midi":
            return song(self.played(settings, wished), Path(str(input)), asked)
        if kind == "keys":
            raise UserError("source=keys: writes a folder; timbrel.library.sampler renders it")
        if kind == "preset":
            preset = load_preset(self.bundle, str(input))
            settings = as_saved(settings, preset)
            if not given.moves:
                given = replace(given, moves=read_controls(preset.metadata.get("controls")).moves)
            kept = preset.n_samples if asked is None else min(asked, preset.n_samples)
            source = self._given.code(preset.code, kept)
            chosen = Chosen(Draw(source, ends=True, cut=kept < preset.n_samples))
            label = f"preset {preset.name}"
        elif kind == "prior":
            chosen, label = self.new_sounds.choose(settings, asked, wished), "prior"
        else:
            drawn, label = self._drawn(source, settings, asked, input=input, to=to)
            chosen = Chosen(drawn)
        drawn, told = self._tracked(chosen.draw, settings.file, lead, asked)
        shaping = {key: getattr(settings, key) for key in ("gain_db", "fade_in_s", "fade_out_s")}
        n_samples, audio, landings = drawn.source.n_samples, drawn.audio, ()
        if given.moves:
            made = controlled_draw(
                self.model,
                self.mapper,
                drawn,
                given.moves,
                precise=settings.precise,
                name=self.name,
            )
            audio, landings = made.audio, made.landings
            n_samples = audio.shape[1] if asked is None else min(audio.shape[1], asked)
        if audio is None:
            blocks = render(self.model, drawn.source, **shaping)
        else:
            blocks = shape([audio], n_samples=n_samples, rate_hz=self.sample_rate_hz, **shaping)
        own_samples = n_samples
        if drawn.ends and asked is not None and asked > n_samples:
            blocks = chain(blocks, silence(self.model.channels, asked - n_samples))
            n_samples = asked
        metadata = rendering_metadata(self.bundle, kind, label, settings, n_samples)
        if drawn.made_of:
            metadata["made_of"] = tag(described(drawn.made_of))
        if wished:
            metadata["attributes"] = wished
        metadata |= told
        if given.moves:
            metadata["controls"] = given.as_metadata()
        else:
            del metadata["precise"]
        return Rendering(
            blocks,
            drawn,
            n_samples,
            self.sample_rate_hz,
            metadata,
            own_samples=own_samples if drawn.ends else None,
            cut=drawn.cut,
            attributes=chosen.attributes,
            nearest=chosen.nearest,
            landings=landings,
        )

    def _tracked(
        self, drawn: Draw, file: FileConfig, lead: Led | None, asked: int | None
    ) -> tuple[Draw, dict[str, Any]]:
        """The sound with the tracks that are asked for, and what its file tells of them."""
        if file != FileConfig():
            if lead is not None:
                raise UserError(
                    "controls.follow: not with file.*, it brings tracks of its own; leave one out"
                )
            parts = (self.prior, lambda: self.mapper)
            drawn, fitting = fitted_draw(self.bundle, drawn, file, *parts)
            return drawn, {"file": fitting}
        if lead is not None:
            drawn, follows = followed_draw(self.model, self.mapper, drawn, lead, asked)
            return drawn, {"follow": follows}
        return drawn, {}

    def played(self, settings: RenderSettings, asked: Mapping[str, float]) -> Played:
        """The sound that `source=midi` and `source=keys` play. Raises UserError as `played`."""
        return played(self.bundle, self.new_sounds, settings, asked)

    def _drawn(
        self,
        source: str | Path | Latent,
        settings: RenderSettings,
        samples: int | None,
        *,
        input: Input | None,
        to: Input | None,
    ) -> tuple[Draw, str]:
        """The code and its name for a file's metadata (no folder: paths are private)."""
        if isinstance(source, Latent):
            return Draw(self._given.code(source, samples)), "latent"
        if source not in VARIATIONS:
            return Draw(self._given.file(Path(source), samples)), Path(source).name
        if source == "fill" and not isinstance(self.prior, FlowPrior):
            raise UserError(
                f"source=fill: new sounds of '{self.name}' are drawn by prior={self.prior.kind}; "
                "timbrel prior run=RUN prior=flow fits the one that fills"
            )
        sound = self._given.clip(str(input))
        if source == "between":
            other = self._given.clip(str(to))
            drawn = between(self.model, sound, other, settings, samples)
            return drawn, f"{source} {sound.name} {other.name}"
        label = f"{source} {sound.name}"
        if source == "continue":
            return continued(self.model, sound, settings, samples), label
        if isinstance(self.prior, FlowPrior) and source == "fill":
            played = self._given.played(str(input))
            return filled(self.model, self.prior, sound, played, settings, samples), label
        bank = getattr(self.prior, "bank", None)
        if bank is None:
            raise UserError(
                f"source=vary: '{self.name}' holds no codes of its recordings; timbrel prior "
                "run=RUN adds them"
            )
        return varied(self.model, bank, sound, settings, samples), label

    def save_preset(self, name: str, rendering: Rendering, *, into: str = "user") -> Path:
        """Keep the sound of `rendering` as the preset `name`; the path of its file.

        `into` is "user", a folder of the user's, or "model", the bundle itself. Raises UserError as
        `timbrel.library.presets.save_preset`.
        """
        return save_preset(self.bundle, preset_of(self.bundle, name, rendering), into=into)

    def presets(self) -> list[str]:
        """The names of the model's presets, for `source="preset"` and as `"preset:NAME"`."""
        return [*preset_paths(self.bundle.folder, self.bundle.card.model_hash)]


def load(
    path: Path | str, device: torch.device | str = "cpu", *, trust: bool = False
) -> Instrument:
    """Open a model bundle, or the model of a run folder, as an instrument on `device`.

    `trust` opens models with parts outside timbrel as well, whose code runs: give it for models
    whose maker you trust. Raises UserError as `timbrel.library.bundle.load_bundle`.
    """
    return Instrument(load_bundle(path, trust=trust), device)
