"""A part is added beside a model, checked by itself, and left alone by those who do not know it."""

from pathlib import Path

import pytest

from bundles import small_bundle
from timbrel.errors import UserError
from timbrel.library import load_bundle
from timbrel.library.optional_parts import add_part, part, part_names


def _presets(folder: Path) -> None:
    (folder / "banks").mkdir()
    (folder / "banks" / "one.json").write_text("[1, 2]")
    (folder / "index.json").write_text("{}")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small_bundle(tmp_path / "run" / "model")


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_adding_a_part_changes_no_other_file(model: Path) -> None:
    before, card = _contents(model), load_bundle(model).card
    place = add_part(model, "presets", _presets)
    after = _contents(model)
    assert {name: after[name] for name in before} == before
    bundle = load_bundle(model.parent)
    assert bundle.card == card
    assert bundle.part("presets") == place
    assert bundle.part("mapper") is None
    assert (place / "banks" / "one.json").read_text() == "[1, 2]"
    assert part_names(model) == ["presets"]
    assert [p.name for p in model.parent.iterdir()] == ["model"]


def test_a_part_is_replaced_whole_or_stays(model: Path) -> None:
    place = add_part(model, "presets", _presets)
    before = _contents(place)

    def breaks(folder: Path) -> None:
        (folder / "half.json").write_text("{")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        add_part(model, "presets", breaks)
    assert _contents(place) == before
    assert [p.name for p in place.parent.iterdir()] == ["presets"]
    add_part(model, "presets", lambda folder: folder.joinpath("new.json").touch())
    assert sorted(_contents(place)) == ["new.json", "part.json"]
    assert part(model, "presets") == place


@pytest.mark.parametrize("damage", ["changed", "below", "missing", "extra", "record", "no record"])
def test_a_damaged_part_is_named_and_the_model_still_opens(model: Path, damage: str) -> None:
    place = add_part(model, "presets", _presets)
    add_part(model, "prior", lambda folder: folder.joinpath("weights").touch())
    name = "banks/one.json" if damage == "below" else "index.json"
    file = place / ("part.json" if "record" in damage else name)
    if damage in ("missing", "no record"):
        file.unlink()
    elif damage == "extra":
        (place / "more.json").touch()
    else:
        file.write_text("{ ")
    bundle = load_bundle(model)
    with pytest.raises(UserError, match=r"parts/presets' is damaged.*make 'presets' again"):
        bundle.part("presets")
    assert bundle.part("prior") == model / "parts" / "prior"


def test_a_part_of_another_model_is_refused(model: Path, tmp_path: Path) -> None:
    add_part(model, "presets", _presets)
    other = small_bundle(tmp_path / "other", louder=1.0)
    (model / "parts").rename(other / "parts")
    with pytest.raises(UserError, match="presets' was made for another model"):
        load_bundle(other).part("presets")


def test_a_new_model_has_none_of_the_parts_of_the_old(model: Path) -> None:
    add_part(model, "presets", _presets)
    small_bundle(model, louder=1.0)
    assert part_names(model) == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc"])
def test_a_name_is_no_path(model: Path, name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        add_part(model, name, _presets)


def test_a_part_without_a_file_is_none(model: Path) -> None:
    with pytest.raises(ValueError, match="one file or more"):
        add_part(model, "presets", lambda _: None)
    assert part_names(model) == []
