"""A bundle restores its model, names its own damage, and runs no foreign code."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from bundles import small_bundle, small_model
from timbrel.errors import UserError
from timbrel.generation.statistics import load_latent_statistics
from timbrel.library import Card, Frontend, load_bundle, save_bundle
from timbrel.library.bundle import load_weights
from timbrel.library.targets import check_targets

PARTS = ["config.yaml", "weights.safetensors", "frontend.json", "latents.safetensors", "card.json"]


def _resign(folder: Path) -> None:
    """Make the checksums fit changed files, as an attacker would."""
    card = json.loads((folder / "card.json").read_text())
    for name in card["checksums"]:
        card["checksums"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))


def _edit_config(folder: Path, edit) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    edit(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    _resign(folder)


def test_a_bundle_gives_the_model_back(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path / "run" / "model", channels=2, clip_dim=2, downmix="left")
    assert sorted(p.name for p in folder.iterdir()) == sorted(PARTS)
    model, config = small_model(channels=2, clip_dim=2)
    for path in (folder, tmp_path / "run"):
        bundle = load_bundle(path)
        assert bundle.model_config == config
        assert bundle.frontend == Frontend(sample_rate_hz=48_000, channels=2, downmix="left")
        assert (bundle.card.name, bundle.card.trained_on.names) == ("tiny", ("noise",))
        assert not bundle.model.training
        for name, tensor in bundle.model.state_dict().items():
            assert torch.equal(tensor, model.state_dict()[name])


def test_a_front_end_without_a_word_on_levels_leaves_them_alone(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path / "model")
    values = json.loads((folder / "frontend.json").read_text())
    del values["normalisation"]
    (folder / "frontend.json").write_text(json.dumps(values))
    _resign(folder)
    assert load_bundle(folder).frontend.normalisation == "none"


def test_the_model_hash_is_of_config_weights_and_frontend(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path / "model")
    card = load_bundle(folder).card
    content = b"".join((folder / name).read_bytes() for name in PARTS[:3])
    assert card.model_hash == hashlib.sha256(content).hexdigest()
    again = load_bundle(small_bundle(tmp_path / "again")).card
    assert again.model_hash == card.model_hash
    other = load_bundle(small_bundle(tmp_path / "other", louder=1e-3)).card
    assert other.model_hash != card.model_hash


def test_loading_leaves_the_random_state_alone(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path / "model")
    before = torch.random.get_rng_state()
    load_bundle(folder)
    assert torch.equal(before, torch.random.get_rng_state())


def test_saving_again_replaces_and_leaves_no_litter(tmp_path: Path) -> None:
    small_bundle(tmp_path / "model")
    small_bundle(tmp_path / "model", louder=1.0)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert load_bundle(tmp_path / "model").model.decoder.magnitude.bias[0] == -1.0


def test_a_folder_that_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="not empty and no model"):
        small_bundle(tmp_path / "model")
    assert (tmp_path / "model" / "thesis.txt").exists()


def test_a_config_of_another_model_is_refused_at_once(tmp_path: Path) -> None:
    model, config = small_model()
    statistics = load_latent_statistics(small_bundle(tmp_path / "a") / "latents.safetensors")
    wrong = {**config, "encoder": {**config["encoder"], "blocks": 1}}
    frontend = Frontend(sample_rate_hz=48_000, channels=1)
    with pytest.raises(ValueError, match=r"does not build this model.*encoder\.stack\.blocks"):
        save_bundle(tmp_path / "b", model, wrong, frontend, statistics, Card(name="b"))
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_named(tmp_path: Path, part: str) -> None:
    folder = small_bundle(tmp_path / "model")
    (folder / part).unlink()
    with pytest.raises(UserError, match=rf"{part}.*missing"):
        load_bundle(folder)


@pytest.mark.parametrize("part", PARTS)
def test_a_damaged_part_is_named(tmp_path: Path, part: str) -> None:
    folder = small_bundle(tmp_path / "model")
    data = (folder / part).read_bytes()
    (folder / part).write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=rf"{part}.*damaged"):
        load_bundle(folder)


@pytest.mark.parametrize("part", PARTS[:4])
def test_a_part_damaged_before_it_was_signed_is_named_too(tmp_path: Path, part: str) -> None:
    folder = small_bundle(tmp_path / "model")
    (folder / part).write_bytes(b"\x80\x04garbage: [")
    _resign(folder)
    with pytest.raises(UserError, match=part):
        load_bundle(folder)


def test_a_newer_format_is_refused_with_the_reason(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path / "model")
    card = json.loads((folder / "card.json").read_text())
    card |= {"format_version": 99, "timbrel_version": "7.0", "later": "key"}
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=r"format 99 \(timbrel 7\.0\).*update timbrel"):
        load_bundle(folder)


@pytest.mark.parametrize("change", ["drop", "add", "shape"])
def test_tensors_must_fit(tmp_path: Path, change: str) -> None:
    folder = small_bundle(tmp_path / "model")
    weights = load_file(folder / "weights.safetensors")
    if change == "drop":
        del weights["decoder.noise.bias"]
    elif change == "add":
        weights["spare"] = torch.zeros(1)
    else:
        weights["decoder.noise.bias"] = torch.zeros(3)
    save_file(weights, folder / "weights.safetensors")
    _resign(folder)
    message = {
        "drop": "lacks decoder.noise.bias",
        "add": "has extra spare",
        "shape": r"decoder.noise.bias is \(3,\), not \(1025,\)",
    }
    with pytest.raises(UserError, match=message[change]):
        load_bundle(folder)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.run",
        "timbrel_evil.models.Net",
        "timbrel.library.bundle.os.system",
        "timbrel.library.bundle.shutil.rmtree",
        "timbrel.models.autoencoder.torch.load",
        "timbrel.models.autoencoder.torch.hub.load",
        "timbrel.models.autoencoder.nn.Linear",
        "timbrel.models.autoencoder.nn",
        "timbrel.models.posteriors.sample",
        "timbrel.models..autoencoder.Autoencoder",
        17,
    ],
)
def test_a_strangers_target_is_never_called(tmp_path: Path, target) -> None:
    folder = small_bundle(tmp_path / "model")
    witness = tmp_path / "witness"

    def poison(config) -> None:
        config["encoder"] = {"_target_": target, "command": f"touch {witness}"}

    _edit_config(folder, poison)
    with pytest.raises(UserError, match=r"config\.yaml' names"):
        load_bundle(folder)
    assert not witness.exists()


def test_yaml_that_builds_objects_is_refused(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path / "model")
    witness = tmp_path / "witness"
    (folder / "config.yaml").write_text(f'!!python/object/apply:os.system ["touch {witness}"]\n')
    _resign(folder)
    with pytest.raises(UserError, match=r"config\.yaml"):
        load_bundle(folder)
    assert not witness.exists()


@pytest.mark.parametrize(
    "extra",
    [
        {"latent_dim": "${oc.env:HOME}"},
        {"_args_": ["x"]},
        {"_partial_": True},
        {"encoder": [{"_target_": "os.system"}]},
    ],
)
def test_hydras_other_powers_are_refused(extra: dict) -> None:
    config = {"_target_": "timbrel.models.autoencoder.Autoencoder", **extra}
    with pytest.raises(UserError):
        check_targets(config, "config.yaml")


def test_arguments_that_do_not_fit_name_the_config(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path / "model")
    _edit_config(folder, lambda config: config.update(flavour="sweet"))
    with pytest.raises(UserError, match=r"config\.yaml' cannot be built"):
        load_bundle(folder)


def test_a_wrong_path_names_the_models_near_by(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no such folder; train one first"):
        load_bundle("outputs/nothing")
    small_bundle(Path("outputs/kicks/model"))
    with pytest.raises(UserError, match="no such folder; there is model=outputs/kicks"):
        load_bundle("outputs/kick")
    with pytest.raises(UserError, match="there is model=outputs/kicks"):
        load_bundle("elsewhere/kick")
    Path("outputs/young").mkdir()
    Path("outputs/young/metrics.csv").touch()
    with pytest.raises(UserError, match="a run without a model yet"):
        load_bundle("outputs/young")


def test_statistics_of_another_width_are_refused(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path / "model")
    other = small_bundle(tmp_path / "other", clip_dim=3)
    (folder / "latents.safetensors").write_bytes((other / "latents.safetensors").read_bytes())
    _resign(folder)
    with pytest.raises(UserError, match=r"latents\.safetensors.*widths"):
        load_bundle(folder)


def test_the_card_as_given_is_kept(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path / "model")
    bundle = load_bundle(folder)
    card = replace(
        bundle.card, parent="abc", licence="CC BY 4.0", metrics={"lsd_db": 3.5}, data_hash="d"
    )
    save_bundle(folder, bundle.model, bundle.model_config, bundle.frontend, bundle.statistics, card)
    assert load_bundle(folder).card == card


@pytest.mark.parametrize("target", ["os.system", "mine.Decoder"])
def test_a_foreign_part_is_refused_by_name_with_the_way_out(tmp_path: Path, target: str) -> None:
    folder = small_bundle(tmp_path / "model")
    _edit_config(folder, lambda config: config["decoder"].update(_target_=target))
    with pytest.raises(UserError) as refused:
        load_bundle(folder)
    told = str(refused.value)
    assert f"names '{target}'" in told
    assert "give trust=true" in told
    assert f"({target.split('.')[0]}) in the working folder" in told


def test_what_the_card_says_opens_nothing(tmp_path: Path) -> None:
    """The config decides, not the list that its maker wrote."""
    folder = small_bundle(tmp_path / "model")
    _edit_config(folder, lambda config: config["decoder"].update(_target_="os.system"))
    card = json.loads((folder / "card.json").read_text())
    for foreign in ([], ["os.system"]):
        (folder / "card.json").write_text(json.dumps({**card, "foreign": foreign}))
        with pytest.raises(UserError, match=r"names 'os\.system'"):
            load_bundle(folder)


def test_trust_is_not_for_damage(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path / "model")
    (folder / "config.yaml").write_text("_target_: os.system\ncommand: touch witness\n")
    with pytest.raises(UserError, match=r"config\.yaml' is damaged"):
        load_bundle(folder, trust=True)


def test_a_model_of_timbrels_own_says_nothing_of_foreign_parts(tmp_path: Path) -> None:
    card = json.loads((small_bundle(tmp_path / "model") / "card.json").read_text())
    assert "foreign" not in card


@pytest.mark.parametrize(
    ("key", "value"), [("sample_rate_hz", 44_100), ("channels", 2), ("conditions", ["f0_hz"])]
)
def test_front_end_and_model_must_agree(tmp_path: Path, key: str, value) -> None:
    folder = small_bundle(tmp_path / "model")
    frontend = json.loads((folder / "frontend.json").read_text())
    (folder / "frontend.json").write_text(json.dumps({**frontend, key: value}))
    _resign(folder)
    with pytest.raises(UserError, match=rf"frontend\.json' says {key}="):
        load_bundle(folder)


def test_a_front_end_of_before_opens(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path / "model")
    frontend = json.loads((folder / "frontend.json").read_text())
    before = {**frontend, "normalisation": "none", "parameters": {"window_samples": 2048}}
    (folder / "frontend.json").write_text(json.dumps(before))
    _resign(folder)
    assert load_bundle(folder).frontend == Frontend(sample_rate_hz=48_000, channels=1)


def test_weights_are_read_without_building_anything(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path / "model")
    tensors = load_bundle(folder).model.state_dict()
    _edit_config(folder, lambda config: config["decoder"].update(_target_="os.system"))
    found = load_weights(folder).tensors
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
