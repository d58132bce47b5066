"""The model bundle: a folder that holds all that a trained model needs, and nothing that runs.

    config.yaml          the model as a tree of `_target_`s, resolved
    weights.safetensors  its tensors
    frontend.json        how sound must reach it: rate, channels, downmix, parameters
    latents.safetensors  moments of the training latents, for the prior
    card.json            trained on what, how well, by which version; checksums of the other files
    parts/<name>/        what was added later (`timbrel.library.optional_parts`)

Nothing in a bundle is ever unpickled. A config may name parts of the user's own module; the card
then lists them, and the bundle opens only where the caller trusts it, because their code runs.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from timbrel import __version__
from timbrel.config.targets import locate
from timbrel.errors import UserError, folder_fault
from timbrel.files import replacing_folder, write_bytes, write_text
from timbrel.generation.statistics import (
    LatentStatistics,
    load_latent_statistics,
    save_latent_statistics,
)
from timbrel.library import optional_parts
from timbrel.library.card import (
    FORMAT_VERSION,
    Card,
    Frontend,
    read_card,
    read_frontend,
    write_json,
)
from timbrel.library.targets import check_targets, foreign_parts
from timbrel.models.autoencoder import Autoencoder, not_an_autoencoder
from timbrel.paths import user_path

_HASHED = ("config.yaml", "weights.safetensors", "frontend.json")
_PARTS = (*_HASHED, "latents.safetensors")


@dataclass(frozen=True)
class Weights:
    """A bundle's tensors and records, read without building the model: none of its code ran."""

    folder: Path
    tensors: Mapping[str, torch.Tensor]
    frontend: Frontend
    card: Card


@dataclass(frozen=True)
class Bundle:
    """An opened model: on the CPU, in evaluation mode."""

    folder: Path
    model: Autoencoder
    model_config: dict[str, Any]
    frontend: Frontend
    statistics: LatentStatistics
    card: Card

    def part(self, name: str) -> Path | None:
        """The folder of an optional part, as `timbrel.library.optional_parts.part`."""
        return optional_parts.part(self.folder, name)


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

    Raises UserError where `folder` is something else than a bundle, or cannot be written;
    ValueError where the config does not build `model`.
    """
    folder = Path(folder)
    plain = _plain(model_config)
    check_free(folder)
    foreign = check_saveable(model, plain)
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    with replacing_folder(folder) as draft:
        write_text(draft / "config.yaml", yaml.safe_dump(plain, sort_keys=False))
        write_bytes(draft / _HASHED[1], save({k: tensor.clone() for k, tensor in state.items()}))
        write_json(draft / "frontend.json", asdict(frontend))
        save_latent_statistics(draft / "latents.safetensors", statistics)
        written = replace(
            card,
            timbrel_version=__version__,
            format_version=FORMAT_VERSION,
            model_hash=_hash(draft, _HASHED),
            checksums={name: _hash(draft, (name,)) for name in _PARTS},
            foreign=foreign,
        )
        values = asdict(written)
        if not foreign:
            del values["foreign"]  # a timbrel of before knows no such key
        write_json(draft / "card.json", values)
    return written


def check_saveable(model: Autoencoder, model_config: Mapping[str, Any]) -> tuple[str, ...]:
    """The config's parts that are not timbrel's, where a bundle can keep `model`.

    Raises UserError where the config refers to other values or the state holds more than tensors;
    ValueError where the config does not build `model` again.
    """
    plain = _plain(model_config)
    foreign = foreign_parts(plain, "architecture")
    state = model.state_dict()
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise UserError(
                f"architecture: '{name}' in the model's state_dict is of type "
                f"{type(value).__name__}; a model is kept as tensors alone"
            )
    problem = tensors_differ(_built(plain).state_dict(), state)
    if problem:
        raise ValueError(f"model_config does not build this model: {problem}")
    return foreign


def check_free(folder: Path) -> None:
    """Raises UserError where `folder` holds something else than a model, which is replaced."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "card.json").is_file():
        raise UserError(f"'{folder}' is not empty and no model; move it away, or name another")


def load_bundle(path: Path | str, *, key: str = "model", trust: bool = False) -> Bundle:
    """Open the bundle at `path`, or the one in `model/` of the run folder at `path`.

    `key` is what the user gave it as, for messages. `trust` lets the config name parts outside
    timbrel: their code runs.

    Raises UserError where there is none, a part is missing or damaged, the format is newer than
    this timbrel, the config names parts outside timbrel without `trust` or such that Python does
    not find, or where files do not fit each other.
    """
    weights = load_weights(path, key=key)
    folder = weights.folder
    config = _config(folder / "config.yaml", trust)
    model = _built(config, folder / "config.yaml")
    problem = tensors_differ(model.state_dict(), weights.tensors)
    if problem:
        raise UserError(f"'{folder / 'weights.safetensors'}' does not fit config.yaml: {problem}")
    model.load_state_dict(weights.tensors)
    statistics = load_latent_statistics(folder / "latents.safetensors")
    found = (statistics.latent_dim, len(statistics.clip_mean), statistics.tracks)
    needed = (model.latent_dim, model.clip_dim, model.conditions)
    if found != needed:
        raise UserError(
            f"'{folder / 'latents.safetensors'}' is of widths and tracks {found}, "
            f"the model's are {needed}"
        )
    _check_frontend(weights.frontend, model, folder / "frontend.json")
    return Bundle(folder, model.eval(), config, weights.frontend, statistics, weights.card)


def load_weights(path: Path | str, *, key: str = "model") -> Weights:
    """What a training can start from, of the bundle at `path` or in `model/` of the run there.

    Raises UserError where there is none, a part is missing or damaged, or the format is newer.
    """
    folder = locate_bundle(path, key=key)
    card = read_card(folder)
    for name in _PARTS:
        if not (folder / name).is_file():
            raise UserError(
                f"'{folder / name}' is missing; export the model again or copy it whole"
            )
        if _hash(folder, (name,)) != card.checksums.get(name):
            raise UserError(
                f"'{folder / name}' is damaged: its checksum is not that in card.json; "
                "copy the model again"
            )
    try:
        tensors = load_file(folder / "weights.safetensors")
    except (OSError, SafetensorError) as error:
        raise UserError(f"'{folder / 'weights.safetensors'}' cannot be read: {error}") from error
    return Weights(folder, tensors, read_frontend(folder / "frontend.json"), card)


def _check_frontend(frontend: Frontend, model: Autoencoder, path: Path) -> None:
    """Raise UserError if front end and model differ in sample rate, channels or conditions."""
    for name in ("sample_rate_hz", "channels", "conditions"):
        given, heard = getattr(frontend, name), getattr(model, name)
        if given != heard:
            raise UserError(
                f"'{path}' says {name}={given}, the model of config.yaml has {heard}; copy the "
                "model again, or export it anew"
            )


def locate_bundle(path: Path | str, *, key: str = "model") -> Path:
    """The bundle's folder for a bundle or a run folder; raises UserError naming those near by."""
    path = user_path(path, key)
    for folder in (path / "model", path):
        if os.path.isfile(folder / "card.json"):
            return folder
    hint = _models_near(path, key)
    if fault := folder_fault(path):
        raise UserError(f"{key}={path}: {fault}{hint}")
    if (path / "weights.safetensors").is_file():
        raise UserError(
            f"'{path / 'card.json'}' is missing; export the model again or copy it whole"
        )
    what = "a run without a model yet" if (path / "metrics.csv").is_file() else "no model"
    raise UserError(f"{key}={path}: {what} (no card.json in it or in its model/){hint}")


def tensors_differ(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> str:
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


def _config(path: Path, trust: bool) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"'{path}' is damaged: {error}") from error
    check_targets(values, f"'{path}'", trust=trust)
    for name in foreign_parts(values, f"'{path}'"):
        _locate(name, path)
    return values


def _locate(name: str, path: Path) -> None:
    """Raise UserError where Python does not find a part that is not timbrel's."""
    if name.endswith("_"):  # a special key of Hydra's, beside the part it belongs to
        return
    try:
        locate(name)
    except UserError as error:
        module = name.partition(".")[0]
        raise UserError(
            f"'{path}' names {error}; put {module}.py where Python finds it: into the working "
            "folder, on PYTHONPATH, or install it"
        ) from error


def _built(config: Mapping[str, Any], path: Path | None = None) -> Autoencoder:
    # Building draws weights to throw away: the caller's random state must not move.
    with torch.random.fork_rng(devices=[]):
        try:
            model = instantiate(dict(config), _convert_="all")
        except Exception as error:
            if path is None:
                raise
            cause = error.__cause__ or error
            raise UserError(
                f"'{path}' cannot be built by timbrel {__version__}: "
                f"{type(cause).__name__}: {cause}"
            ) from error
    if not isinstance(model, Autoencoder):
        raise UserError(f"{path or 'the config'}: {not_an_autoencoder(model)}")
    return model


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
