"""The model of a run as an artifact of its W&B run, with the model that it was continued from.

    model/hash, model/parent    summary: the model's hash, and that of its parent (`init_from`)
    model-<hash>                the artifact: config, front end, latents and weights

Its metadata are the numbers of the card and the parent's artifact, by which runs that continue each
other are found: offline, W&B knows no artifact that is used. Its parts are left out: a prior holds
the codes of the recordings, from which they can be heard.
"""

from pathlib import Path

import wandb

from timbrel.library.card import Card, read_card

_FILES = ("config.yaml", "frontend.json", "latents.safetensors", "weights.safetensors")


def log_model(run: wandb.Run, bundle: Path) -> None:
    """Log the model in the folder `bundle`; its files stay where they are until they are sent."""
    card = read_card(bundle)
    artifact = wandb.Artifact(_name(card.model_hash), type="model", metadata=_about(card))
    for name in _FILES:
        if (path := bundle / name).is_file():
            artifact.add_file(str(path.resolve()), name, policy="immutable", skip_cache=True)
    run.log_artifact(artifact)
    run.summary["model/hash"] = card.model_hash
    if card.parent:
        run.summary["model/parent"] = card.parent


def _about(card: Card) -> dict[str, object]:
    return {
        "name": card.name,
        "data_hash": card.data_hash,
        "seed": card.seed,
        "metrics": dict(card.metrics),
        "parent": _name(card.parent) if card.parent else None,
    }


def _name(model_hash: str) -> str:
    return f"model-{model_hash[:32]}"
