"""Presets: sounds of a model kept by name, each as one JSON file that holds its code.

A preset plays with the model that it was made with, however its prior is fitted later. It lies in
a folder of the user's, `$XDG_DATA_HOME/timbrel/presets` (`~/.local/share/timbrel/presets`), or in
the model itself, as its part `presets`; of two with one name the user's is taken.
"""

import base64
import binascii
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from timbrel.contracts import CONTROLS, TRACKS, Conditions, Latent, joined
from timbrel.errors import UserError, did_you_mean
from timbrel.files import write_text
from timbrel.library import optional_parts
from timbrel.library.bundle import Bundle
from timbrel.library.render_settings import Rendering, RenderSettings
from timbrel.models.autoencoder import Autoencoder
from timbrel.words import printable

PART = "presets"
LONGEST_S = 60.0
_FORMAT = 1
_NAME = re.compile(r"\w[\w .+-]{0,63}")


@dataclass(frozen=True)
class Preset:
    """A sound by its code, which stands for `n_samples`, and how it was made.

    `metadata` is that of the sound's file: its source, seed and settings.
    """

    name: str
    code: Latent
    n_samples: int
    model_name: str
    model_hash: str
    metadata: Mapping[str, Any]


def user_folder() -> Path:
    """Where the user's presets lie, a folder for each model."""
    base = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification has relative paths ignored.
    data = Path(base) if os.path.isabs(base) else Path("~/.local/share").expanduser()
    return data / "timbrel" / "presets"


def places(folder: Path, model_hash: str) -> tuple[tuple[str, Path], ...]:
    """Where presets of the bundle at `folder` are looked for, in this order, each with a word."""
    own = user_folder() / model_hash[:16]
    part = optional_parts.part(folder, PART)
    return (("user", own), *((("model", part),) if part is not None else ()))


def preset_of(bundle: Bundle, name: str, rendering: Rendering) -> Preset:
    """The sound of `rendering`, by its code, as the preset `name`."""
    source, hop = rendering.draw.source, bundle.model.hop_samples
    n_frames = -(-source.n_samples // hop)
    longest = -(-round(LONGEST_S * bundle.model.sample_rate_hz) // hop)
    blocks, frames = [], 0
    for block in source.blocks():
        blocks.append(block)
        frames += block.n_frames
        if frames >= min(n_frames, longest):  # a longer one is refused when it is saved
            break
    code = joined(blocks).cut(0, n_frames)
    card = bundle.card
    return Preset(name, code, source.n_samples, card.name, card.model_hash, rendering.metadata)


def save_preset(bundle: Bundle, preset: Preset, *, into: str) -> Path:
    """Keep `preset`, `into` the `user`'s folder or the `model`; the file's path.

    Raises UserError for a name that no file can have or that is taken, and for a sound of more
    than a minute.
    """
    if not _NAME.fullmatch(preset.name) or preset.name == "part":  # the record of the part
        raise UserError(
            f"preset.save={printable(preset.name)}: letters, digits, spaces and _.+-, at most 64, "
            "and not part"
        )
    longest = round(LONGEST_S * bundle.model.sample_rate_hz)
    if preset.n_samples > longest:
        raise UserError(
            f"preset.save={preset.name}: a preset is at most {LONGEST_S:g} s long; add seconds="
        )
    name = f"{preset.name}.json"
    text = json.dumps(_as_json(preset), indent=1, sort_keys=True) + "\n"
    folder = dict(places(bundle.folder, bundle.card.model_hash)).get(into)
    if folder is not None and os.path.lexists(folder / name):
        raise UserError(
            f"preset.save={preset.name}: '{folder / name}' exists; name another, or remove it"
        )
    if into == "user":
        path = user_folder() / bundle.card.model_hash[:16] / name
        write_text(path, text)
        return path

    def write(draft: Path) -> None:
        for path in sorted(folder.glob("*.json")) if folder else ():
            if path.name != "part.json":
                shutil.copy2(path, draft)
        write_text(draft / name, text)

    return optional_parts.add_part(bundle.folder, PART, write) / name


def preset_paths(folder: Path, model_hash: str) -> dict[str, Path]:
    """The files of all presets of the bundle at `folder`, by name."""
    found: dict[str, Path] = {}
    for _, place in places(folder, model_hash):
        for path in place.glob("*.json"):
            if path.name != "part.json":
                found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def load_preset(bundle: Bundle, name: str) -> Preset:
    """The preset `name` of `bundle`, or the one in the file that `name` is the path of.

    Raises UserError where there is none, and as `read_preset`.
    """
    if name.endswith(".json"):
        return read_preset(Path(name).expanduser(), bundle.card.model_hash, bundle.model)
    known = preset_paths(bundle.folder, bundle.card.model_hash)
    if name not in known:
        hint = did_you_mean(name, known)
        has = f"it has {', '.join(known)}" if known else "it has none; preset.save=NAME makes one"
        raise UserError(f"no preset '{printable(name)}' of '{bundle.card.name}'; {has}{hint}")
    return read_preset(known[name], bundle.card.model_hash, bundle.model)


def read_preset(path: Path, model_hash: str, model: Autoencoder) -> Preset:
    """The preset in the file `path`.

    Raises UserError as `read_values`, and where it was made with another model than the one of
    `model_hash`, or does not fit it.
    """
    values = read_values(path)
    try:
        preset = _of_json(path.stem, values)
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise UserError(f"'{path}' is damaged: {error!r}; save the preset again") from error
    if preset.model_hash != model_hash:
        raise UserError(
            f"'{path}' was made with the model '{printable(preset.model_name)}' "
            f"({preset.model_hash[:12]}), this is {model_hash[:12]}: its code means another sound "
            "here; use that model"
        )
    widths = preset.code.frames.shape[1], preset.code.clip.shape[1], preset.code.n_frames
    needed = model.latent_dim, model.clip_dim, -(-preset.n_samples // model.hop_samples)
    tracks = tuple(preset.code.conditions.tracks)
    if widths != needed or set(tracks) != set(model.conditions) or preset.n_samples < 1:
        raise UserError(f"'{path}' is damaged: its code does not fit the model; save it again")
    return preset


def as_saved(settings: RenderSettings, preset: Preset) -> RenderSettings:
    """Gain and fades as the preset was saved with, where none are given."""
    default = RenderSettings()
    keys = ("gain_db", "fade_in_s", "fade_out_s")
    unset = [key for key in keys if getattr(settings, key) == getattr(default, key)]
    return replace(settings, **{k: preset.metadata[k] for k in unset if k in preset.metadata})


def read_values(path: Path) -> dict[str, Any]:
    """What the file `path` of a preset holds: `n_samples`, `model`, `made` and `code`.

    Raises UserError where it cannot be read, is no preset, or is one of a later timbrel.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' cannot be read as a preset: {error}") from error
    version = values.get("timbrel_preset") if isinstance(values, dict) else None
    if not isinstance(version, int):
        raise UserError(f"'{path}' is no preset: it has no number timbrel_preset")
    if version > _FORMAT:
        raise UserError(f"'{path}' is a preset of format {version}; update timbrel")
    for key, kind in (("n_samples", int), ("model", dict), ("made", dict), ("code", dict)):
        if not isinstance(values.get(key), kind):
            raise UserError(f"'{path}' is damaged: {key} is no {kind.__name__}")
    return values


def _as_json(preset: Preset) -> dict[str, Any]:
    return {
        "timbrel_preset": _FORMAT,
        "model": {"name": preset.model_name, "hash": preset.model_hash},
        "n_samples": preset.n_samples,
        "made": dict(preset.metadata),
        "code": {
            "frames": _packed(preset.code.frames),
            "clip": _packed(preset.code.clip),
            "tracks": {k: _packed(v) for k, v in preset.code.conditions.per_frame.items()},
        },
    }


def _of_json(name: str, values: Mapping[str, Any]) -> Preset:
    code, model = values["code"], values["model"]
    tracks = {
        track: _unpacked(code["tracks"][track])
        for track in (*TRACKS, *CONTROLS)
        if track in code["tracks"]
    }
    latent = Latent(_unpacked(code["frames"]), _unpacked(code["clip"]), Conditions(**tracks))
    lengths = {latent.n_frames, *(track.shape[1] for track in tracks.values())}
    if len(lengths) != 1:
        raise ValueError(f"tracks of {sorted(lengths)} frames")
    return Preset(
        name,
        latent,
        int(values["n_samples"]),
        str(model["name"]),
        str(model["hash"]),
        dict(values["made"]),
    )


def _packed(tensor: Tensor) -> dict[str, Any]:
    """Little-endian float32 as base64, and its shape."""
    array = np.ascontiguousarray(tensor.detach().cpu().numpy(), "<f4")
    return {"shape": list(array.shape), "f32": base64.b64encode(array.tobytes()).decode("ascii")}


def _unpacked(packed: Mapping[str, Any]) -> Tensor:
    raw = np.frombuffer(base64.b64decode(packed["f32"], validate=True), "<f4")
    array = raw.reshape([int(n) for n in packed["shape"]]).astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError("numbers that are not finite")
    return torch.from_numpy(array)
