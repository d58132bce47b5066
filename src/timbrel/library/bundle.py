"""The model bundle: a folder that holds all that a trained model needs, and nothing that runs.

    config.yaml          the model as a tree of `_target_`s, resolved
    weights.safetensors  its tensors
    frontend.json        how sound must reach it: rate, channels, downmix, parameters
    latents.safetensors  moments of the training latents, for the prior
    card.json            trained on what, how well, by which version; checksums of the other files

Nothing in a bundle is ever unpickled, and its config may name timbrel's own parts only.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from timbrel import __version__
from timbrel.errors import UserError
from timbrel.generation.statistics import (
    LatentStatistics,
    load_latent_statistics,
    save_latent_statistics,
)
from timbrel.library.targets import check_targets
from timbrel.models.autoencoder import Autoencoder

FORMAT_VERSION = 1

_HASHED = ("config.yaml", "weights.safetensors", "frontend.json")
_PARTS = (*_HASHED, "latents.safetensors")


@dataclass(frozen=True)
class Frontend:
    """How sound must reach the model, the same for training, analysis and generation.

    `parameters` holds what else defines the front end (STFT window and hop in samples, mel bands);
    `normalisation` says to what each file's level is brought, "peak" or "loudness" (see
    `timbrel.audio.normalise`), "none" where levels are left alone;
    `conditions` names what the decoder needs per frame.
    """

    sample_rate_hz: int
    channels: int
    downmix: str = "mean"
    normalisation: str = "none"
    conditions: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingData:
    """What a model was trained on: data set names, files and their length in seconds."""

    names: tuple[str, ...] = ()
    files: int = 0
    duration_s: float = 0.0


@dataclass(frozen=True)
class Card:
    """Where a model comes from. `parent` is the model hash it was continued from."""

    name: str
    trained_on: TrainingData = field(default_factory=TrainingData)
    data_hash: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    parent: str | None = None
    licence: str = ""
    timbrel_version: str = __version__
    format_version: int = FORMAT_VERSION
    model_hash: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """An opened model: on the CPU, in evaluation mode."""

    folder: Path
    model: Autoencoder
    model_config: dict[str, Any]
    frontend: Frontend
    statistics: LatentStatistics
    card: Card


def save_bundle(
    folder: Path,
    model: Autoencoder,
    model_config: Mapping[str, Any],
    frontend: Frontend,
    statistics: LatentStatistics,
    card: Card,
) -> Card:
    """Write a bundle whole or not at all, replacing the one at `folder`; returns the card written.

    `model_config` is the tree of `_target_`s that builds `model` (interpolations resolved: only
    plain values are kept). The card's hashes and versions are filled in here.

    Raises UserError where the config names parts outside timbrel or `folder` is something else
    than a bundle; ValueError where the config does not build `model`.
    """
    folder = Path(folder)
    plain = _plain(model_config)
    check_targets(plain, "the model's config")
    if folder.exists() and any(folder.iterdir()) and not (folder / "card.json").is_file():
        raise UserError(f"'{folder}' is not empty and no model; name another folder")
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    problem = _difference(_built(plain).state_dict(), state)
    if problem:
        raise ValueError(f"model_config does not build this model: {problem}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        (draft / "config.yaml").write_text(yaml.safe_dump(plain, sort_keys=False), "utf-8")
        save_file({name: tensor.clone() for name, tensor in state.items()}, draft / _HASHED[1])
        _write_json(draft / "frontend.json", asdict(frontend))
        save_latent_statistics(draft / "latents.safetensors", statistics)
        written = replace(
            card,
            timbrel_version=__version__,
            format_version=FORMAT_VERSION,
            model_hash=_hash(draft, _HASHED),
            checksums={name: _hash(draft, (name,)) for name in _PARTS},
        )
        _write_json(draft / "card.json", asdict(written))
        draft.chmod(0o755)
        _swap(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return written


def load_bundle(path: Path | str, *, key: str = "model") -> Bundle:
    """Open the bundle at `path`, or the one in `model/` of the run folder at `path`.

    `key` is what the user gave it as, for messages.

    Raises UserError where there is none, a part is missing or damaged, the format is newer than
    this timbrel, the config names parts outside timbrel, or tensors do not fit.
    """
    folder = locate_bundle(path, key=key)
    card = _card(folder)
    for name in _PARTS:
        if not (folder / name).is_file():
            raise UserError(
                f"'{folder / name}' is missing; export the model again or copy it whole"
            )
        if _hash(folder, (name,)) != card.checksums.get(name):
            raise UserError(
                f"'{folder / name}' is damaged: it is not the file that card.json vouches for; "
                "copy the model again"
            )
    config = _config(folder / "config.yaml")
    frontend = _frontend(folder / "frontend.json")
    model = _built(config, folder / "config.yaml")
    try:
        state = load_file(folder / "weights.safetensors")
    except (OSError, SafetensorError) as error:
        raise UserError(f"'{folder / 'weights.safetensors'}' cannot be read: {error}") from error
    problem = _difference(model.state_dict(), state)
    if problem:
        raise UserError(f"'{folder / 'weights.safetensors'}' does not fit config.yaml: {problem}")
    model.load_state_dict(state)
    statistics = load_latent_statistics(folder / "latents.safetensors")
    found = (len(statistics.mean), len(statistics.clip_mean))
    if found != (model.latent_dim, model.clip_dim):
        raise UserError(
            f"'{folder / 'latents.safetensors'}' is of widths {found}, "
            f"the model's are {(model.latent_dim, model.clip_dim)}"
        )
    return Bundle(folder, model.eval(), config, frontend, statistics, card)


def locate_bundle(path: Path | str, *, key: str = "model") -> Path:
    """The bundle's folder for a bundle or a run folder; raises UserError naming those near by."""
    path = Path(path).expanduser()
    for folder in (path / "model", path):
        if (folder / "card.json").is_file():
            return folder
    hint = _models_near(path, key)
    if not path.exists():
        raise UserError(f"{key}={path}: no such folder{hint}")
    if (path / "weights.safetensors").is_file():
        raise UserError(
            f"'{path / 'card.json'}' is missing; export the model again or copy it whole"
        )
    what = "a run without a model yet" if (path / "metrics.csv").is_file() else "no model"
    raise UserError(f"{key}={path}: {what} (no card.json in it or in its model/){hint}")


def _models_near(path: Path, key: str) -> str:
    """The latest models beside `path` and under outputs/, as the end of a message."""
    cards: set[Path] = set()
    for root in (path.parent, Path("outputs")):
        with contextlib.suppress(OSError):
            cards.update(root.glob("*/model/card.json"))
    latest = sorted(cards, key=lambda card: card.stat().st_mtime, reverse=True)[:3]
    if not latest:
        return "; train one first: timbrel train data.root=FOLDER"
    return "; there is " + ", ".join(f"{key}={card.parents[1]}" for card in latest)


def _card(folder: Path) -> Card:
    path = folder / "card.json"
    values = _read_json(path)
    version = values.get("format_version")
    if not isinstance(version, int):
        raise UserError(f"'{path}' has no format_version: not a timbrel model")
    if version > FORMAT_VERSION:
        raise UserError(
            f"'{folder}' is of format {version} (timbrel {values.get('timbrel_version')}); "
            f"this timbrel {__version__} opens up to format {FORMAT_VERSION}: update timbrel"
        )
    data = values.pop("trained_on", None) or {}
    try:
        trained_on = TrainingData(**{**data, "names": tuple(data.get("names", ()))})
        return Card(**values, trained_on=trained_on)
    except (TypeError, AttributeError) as error:
        raise UserError(f"'{path}' is damaged: {error}") from error


def _frontend(path: Path) -> Frontend:
    values = _read_json(path)
    try:
        return Frontend(**{**values, "conditions": tuple(values.get("conditions", ()))})
    except TypeError as error:
        raise UserError(f"'{path}' is damaged: {error}") from error


def _config(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"'{path}' is damaged: {error}") from error
    check_targets(values, f"'{path}'")
    return values


def _built(config: Mapping[str, Any], path: Path | None = None) -> Autoencoder:
    # Building draws weights to throw away: the caller's random state must not move.
    with torch.random.fork_rng(devices=[]):
        try:
            model = instantiate(dict(config), _convert_="all")
        except Exception as error:
            if path is None:
                raise
            raise UserError(
                f"'{path}' cannot be built by timbrel {__version__}: {str(error).splitlines()[0]}"
            ) from error
    if not isinstance(model, Autoencoder):
        raise UserError(f"{path or 'the config'}: {type(model).__name__} is not an Autoencoder")
    return model


def _difference(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> str:
    """What keeps two sets of tensors from fitting, or an empty string."""
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    shapes = [
        f"{name} is {tuple(found[name].shape)}, not {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & found.keys())
        if found[name].shape != expected[name].shape
    ]
    problems = [f"lacks {name}" for name in missing] + [f"has extra {name}" for name in extra]
    problems += shapes
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return ", ".join(problems[:3]) + more


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Resolved plain containers of a mapping or DictConfig."""
    return OmegaConf.to_container(OmegaConf.create(config), resolve=True)  # type: ignore[return-value]


def _hash(folder: Path, names: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for name in names:
        with (folder / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n", "utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' is damaged: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"'{path}' is damaged: not a JSON object")
    return values


def _swap(draft: Path, folder: Path) -> None:
    """Put `draft` at `folder`; an older bundle there moves aside first, and back if that fails."""
    if not folder.exists():
        os.rename(draft, folder)
        return
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-old-"))
    os.rename(folder, aside / "model")
    try:
        os.rename(draft, folder)
    except OSError:
        os.rename(aside / "model", folder)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
