"""Signatures: what changes one, and what does not."""

import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import timbrel
from timbrel.sweeps import signature
from timbrel.sweeps.signature import FileDigests, sign, source_files

SPECTRAL = {
    "seed": 0,
    "name": "a",
    "run": None,
    "data": {"root": None, "name": "kicks", "split_file": None, "split_theme": None},
    "architecture": {"_target_": "timbrel.models.encoders.SpectralEncoder"},
    "logger": {"kind": "none"},
}


def changed(**sections) -> dict:
    return {
        key: {**value, **sections.get(key, {})} if isinstance(value, dict) else
        sections.get(key, value)
        for key, value in SPECTRAL.items()
    }  # fmt: skip


@pytest.fixture
def digests(tmp_path: Path) -> FileDigests:
    return FileDigests(tmp_path / "files.json")


@pytest.fixture
def kicks(tmp_path: Path) -> Path:
    folder = tmp_path / "kicks"
    folder.mkdir()
    (folder / "one.wav").write_bytes(b"RIFF one")
    (folder / "notes.txt").write_text("not a sound")
    return folder


def test_names_places_and_loggers_do_not_count(digests, kicks, tmp_path) -> None:
    elsewhere = Path(shutil.copytree(kicks, tmp_path / "moved"))
    one = sign(changed(data={"root": str(kicks)}), digests)
    two = changed(data={"root": str(elsewhere), "name": "other", "cache_dir": "/c"}, name="b")
    assert sign({**two, "logger": {"kind": "wandb"}}, digests) == one


def test_settings_and_the_seed_count(digests) -> None:
    first = sign(SPECTRAL, digests)
    for other in (changed(seed=1), changed(architecture={"width": 3})):
        assert sign(other, digests).changes(first.__dict__) == ["config"]


def test_contents_names_and_the_split_file_count(digests, kicks, tmp_path) -> None:
    config = changed(data={"root": str(kicks)})
    first = sign(config, digests)
    (kicks / "notes.txt").write_text("still not a sound")
    assert sign(config, digests) == first
    (kicks / "one.wav").write_bytes(b"RIFF two")
    second = sign(config, digests)
    assert second.changes(first.__dict__) == ["data"]
    (kicks / "one.wav").rename(kicks / "two.wav")
    third = sign(config, digests)
    assert third.changes(second.__dict__) == ["data"]
    lists = tmp_path / "lists.json"
    lists.write_text("{}")
    listed = changed(data={"root": str(kicks), "split_file": str(lists)})
    assert sign(listed, digests).data != third.data


def test_the_folders_name_counts_where_lists_go_by_it(digests, tmp_path) -> None:
    lists = tmp_path / "lists.json"
    lists.write_text("{}")
    configs = [
        changed(data={"root": str(tmp_path / name), "split_file": str(lists)}) for name in "ab"
    ]
    one, two = (signature.config_digest(config) for config in configs)
    assert one != two


def test_further_folders_count_by_content(digests, kicks, tmp_path) -> None:
    also = changed(data={"root": str(kicks), "also": [str(kicks)]})
    alone = sign(changed(data={"root": str(kicks), "also": []}), digests)
    first = sign(also, digests)
    assert first.changes(alone.__dict__) == ["data"]
    moved = Path(shutil.copytree(kicks, tmp_path / "elsewhere" / "kicks"))
    also["data"]["also"] = [str(moved)]
    assert sign(also, digests) == first
    (moved / "one.wav").write_bytes(b"RIFF two")
    assert sign(also, digests).changes(first.__dict__) == ["data"]


def test_the_weights_started_from_count_and_not_their_place(digests, tmp_path) -> None:
    model = tmp_path / "run" / "model"
    model.mkdir(parents=True)
    for name in ("card.json", "config.yaml", "weights.safetensors", "frontend.json"):
        (model / name).write_text(f"{name} of the first")
    afresh = sign(changed(), digests)
    first = sign({**SPECTRAL, "init_from": str(tmp_path / "run")}, digests)
    assert first.changes(afresh.__dict__) == ["data"]
    assert sign({**SPECTRAL, "init_from": str(model)}, digests) == first  # the bundle itself
    moved = Path(shutil.copytree(tmp_path / "run", tmp_path / "moved"))
    assert sign({**SPECTRAL, "init_from": str(moved)}, digests) == first
    (model / "card.json").write_text("retold")
    assert sign({**SPECTRAL, "init_from": str(model)}, digests) == first
    (model / "weights.safetensors").write_text("trained on")
    assert sign({**SPECTRAL, "init_from": str(model)}, digests).changes(first.__dict__) == ["data"]


def test_what_was_digested_is_not_read_again(digests, kicks) -> None:
    first = digests.of(kicks / "one.wav")
    digests.save()
    later = FileDigests(digests.memory)
    (kicks / "one.wav").chmod(0)
    assert later.of(kicks / "one.wav") == first
    assert digests.of(kicks / "gone.wav") == "unreadable"


def test_code_counts_where_the_config_can_reach_it() -> None:
    spectral = source_files(["timbrel.stages.train", "timbrel.models.encoders.SpectralEncoder"])
    assert {
        "timbrel.training.fit",
        "timbrel.data.chunks.sampling",
        "timbrel.models.encoders",
    } <= set(spectral)
    unheard = ("timbrel.models.multiband", "timbrel.sweeps", "timbrel.report",
               "timbrel.stages.inspect", "timbrel.training.console", "timbrel.config")  # fmt: skip
    assert not [name for name in spectral if name.startswith(unheard)]
    assert "timbrel.dsp.pqmf" in source_files(["timbrel.models.multiband.MultibandEncoder"])


def test_an_edit_changes_the_signatures_of_those_that_use_it(tmp_path, monkeypatch) -> None:
    copy = tmp_path / "timbrel"
    shutil.copytree(Path(timbrel.__file__).parent, copy, ignore=shutil.ignore_patterns("*.pyc"))
    monkeypatch.setattr(signature, "_PACKAGE", copy)
    multiband = changed(architecture={"_target_": "timbrel.models.multiband.MultibandEncoder"})
    before = [signature.code_digest(config) for config in (SPECTRAL, multiband)]
    file = copy / "models" / "multiband.py"
    file.write_text(file.read_text() + "\nCHANGED = 1\n")
    after = [signature.code_digest(config) for config in (SPECTRAL, multiband)]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_ones_own_parts_count_with_what_they_import(tmp_path, monkeypatch) -> None:
    """As a training finds them: in the working folder, where a console script does not look."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    files = {
        "my_model.py": "import my_blocks, json, numpy\nclass Encoder: ...",
        "my_blocks.py": "from timbrel.models.upsamplers import Upsampler\nWIDTH = 1",
        "my_folder/part.py": "class Part: ...",
        "my_other.py": "WIDTH = 1",
    }
    (tmp_path / "my_folder").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    config = changed(
        architecture={"_target_": "my_model.Encoder", "part": {"_target_": "my_folder.part.Part"}}
    )

    def edited(name: str) -> bool:
        before = signature.code_digest(config)
        (tmp_path / name).write_text((tmp_path / name).read_text() + "\nMORE = 1\n")
        return signature.code_digest(config) != before

    assert [edited(name) for name in files] == [True, True, True, False]
    copy = tmp_path / "copy" / "timbrel"
    shutil.copytree(Path(timbrel.__file__).parent, copy, ignore=shutil.ignore_patterns("*.pyc"))
    monkeypatch.setattr(signature, "_PACKAGE", copy)
    assert edited("copy/timbrel/models/upsamplers.py")  # only my_blocks.py imports it


def test_an_installed_part_counts_by_its_version() -> None:
    assert signature._foreign(["numpy"]) == ([f"numpy {version('numpy')}"], [])
    for name in ("no_such_part", "builtins", "collections"):
        assert signature._foreign([name]) == ([f"{name} "], [])


def test_half_an_edit_has_a_signature_too(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "half_done.py").write_text("class Encoder(:")
    assert signature.code_digest(changed(architecture={"_target_": "half_done.Encoder"}))


def test_ones_own_module_counts(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "my_parts.py"
    own = changed(architecture={"_target_": "my_parts.Encoder"})
    digests = set()
    for text in ("class Encoder: ...", "class Encoder: '''Better.'''"):
        file.write_text(text)
        digests.add(signature.code_digest(own))
    assert len(digests) == 2


def test_runs_of_one_plan_are_signed_as_each_alone(digests, kicks) -> None:
    """What they share is looked at once: a file that changes meanwhile counts at the next plan."""
    configs = [
        {**changed(data={"root": str(kicks)}, seed=seed), "latent": latent}
        for seed in (0, 1)
        for latent in ({}, {"_target_": "numpy.zeros"})
    ]
    signing = signature.Signing(digests)
    together = [signing.sign(config) for config in configs]
    assert together == [sign(config, digests) for config in configs]
    assert len({one.code for one in together}) == 2
    (kicks / "one.wav").write_bytes(b"RIFF other")
    assert signing.sign(configs[0]) == together[0]
    assert sign(configs[0], digests).changes(together[0].__dict__) == ["data"]
