"""`timbrel prior`, and the priors of a training: what they write, say and refuse."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import timbrel
from signals import sine
from stages.training_jobs import TINY, brief_flow, lean
from timbrel.analysis import flow_fit
from timbrel.errors import UserError
from timbrel.library.bundle import load_bundle
from timbrel.library.optional_parts import part_names
from timbrel.library.prior_part import prior_of
from timbrel.stages import generate, prior, train


def hit(number: int, seconds: float = 0.4) -> np.ndarray:
    t = np.arange(round(48_000 * seconds)) / 48_000
    return 0.5 * sine(110.0 * (number + 1), seconds) * 10 ** (-(6 + number) * t)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prior")
    (folder / "hits").mkdir()
    for i in range(6):
        soundfile.write(folder / "hits" / f"{i}.wav", hit(i), 48_000)
    with pytest.MonkeyPatch.context() as patch:
        lean(patch)
        patch.chdir(folder)
        words = [*TINY, f"data.root={folder / 'hits'}", "trainer.max_steps=4", "hydra.run.dir=run"]
        words[words.index("prior=gaussian")] = "prior=auto"
        assert train.main(words) == 0
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    brief_flow(monkeypatch)
    return Path(shutil.copytree(trained, tmp_path / "run"))


def kind(run: Path) -> str:
    return prior_of(load_bundle(run)).kind


def test_a_training_on_hits_ends_with_a_bank(run: Path) -> None:
    assert kind(run) == "bank"
    assert load_bundle(run).card.holds_codes
    bank = prior_of(load_bundle(run)).bank
    assert len(bank.recordings) == 4  # of six, the others are held out
    assert len(bank.clips) == 7 * 4


@pytest.mark.parametrize("choice", ["gaussian", "resample", "bank", "auto", "flow"])
def test_a_run_that_exists_gets_another_prior(run: Path, choice: str, capsys) -> None:
    assert prior.main([f"run={run}", f"prior={choice}", "device=cpu"]) == 0
    assert kind(run) == ("bank" if choice == "auto" else choice)
    said = capsys.readouterr().out
    assert f"prior: {kind(run)}" in said
    held = (run / "model" / "parts" / "prior" / "bank.safetensors").exists()
    assert held == ("who has it can hear them" in said) == (choice != "gaussian")
    card = json.loads((run / "model" / "card.json").read_text("utf-8"))
    assert card["holds_codes"] is held
    assert load_bundle(run).card.holds_codes is held


def test_without_a_bank_the_recordings_codes_are_not_in_the_model(run: Path) -> None:
    assert prior.main([f"run={run}", "prior.bank=false", "device=cpu"]) == 0
    assert kind(run) == "gaussian"
    assert not (run / "model" / "parts" / "prior" / "bank.safetensors").exists()


def test_a_card_of_before_says_what_the_model_holds(run: Path) -> None:
    path = run / "model" / "card.json"
    card = json.loads(path.read_text("utf-8"))
    del card["holds_codes"]
    path.write_text(json.dumps(card | {"format_version": 1}))
    assert load_bundle(run).card.holds_codes
    shutil.rmtree(run / "model" / "parts")
    assert not load_bundle(run).card.holds_codes
    path.write_text(json.dumps(card | {"holds_codes": "yes"}))
    with pytest.raises(UserError, match="is damaged: holds_codes is no true or false"):
        load_bundle(run)


def test_a_flow_keeps_the_recordings_codes_only_where_it_is_to(run: Path, capsys) -> None:
    soundfile.write("a.wav", hit(2), 48_000)
    assert prior.main([f"run={run}", "prior=flow", "device=cpu"]) == 0
    assert "who has it can hear them" in capsys.readouterr().out
    kept = timbrel.load(run).render(seed=2)
    assert timbrel.load(run).render(source="vary", input="a.wav").duration_s > 0.2
    assert prior.main([f"run={run}", "prior=flow", "prior.bank=false", "device=cpu"]) == 0
    assert "codes are not in the model" in capsys.readouterr().out
    assert kind(run) == "flow"
    files = sorted(path.name for path in (run / "model" / "parts" / "prior").iterdir())
    assert files == ["flow.json", "flow.safetensors", "part.json", "prior.json"]
    assert not load_bundle(run).card.holds_codes
    bare = timbrel.load(run).render(seed=2)
    np.testing.assert_array_equal(bare.samples, kept.samples)
    with pytest.raises(UserError, match="holds no codes of its recordings"):
        timbrel.load(run).render(source="vary", input="a.wav")


def test_a_flow_of_too_few_hits_is_refused_and_costs_no_training(
    run: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(flow_fit, "FEWEST", 5)
    assert prior.main([f"run={run}", "prior=flow", "device=cpu"]) == 2
    assert "prior=flow: 4 hits and notes to learn from, 5 are needed; take prior=auto" in (
        capsys.readouterr().err
    )
    assert kind(run) == "bank"
    lean(monkeypatch)
    words = [*TINY, f"data.root={run.parent / 'hits'}", "trainer.max_steps=2", "hydra.run.dir=r"]
    words[words.index("prior=gaussian")] = "prior=flow"
    (run.parent / "hits").mkdir()
    for i in range(6):
        soundfile.write(run.parent / "hits" / f"{i}.wav", hit(i), 48_000)
    assert train.main(words) == 0
    assert "5 are needed; take prior=auto" in capsys.readouterr().err
    assert kind(Path("r")) == "bank"


def test_a_bank_without_a_bank_is_refused_before_anything_is_read(capsys) -> None:
    words = ["data=demo", "prior=bank", "prior.bank=false"]
    assert train.main(words) == 2
    assert "prior.bank=false: prior.kind=bank draws on the recordings' codes" in (
        capsys.readouterr().err
    )


def test_a_model_of_before_draws_as_it_did(run: Path) -> None:
    shutil.rmtree(run / "model" / "parts")
    assert part_names(run / "model") == []
    assert kind(run) == "gaussian"
    assert timbrel.load(run).render().duration_s == 4.0


def test_a_new_sound_ends_and_says_what_it_is_made_of(run: Path, capsys) -> None:
    instrument = timbrel.load(run)
    sound = instrument.render(seed=1)
    assert 0.2 < sound.duration_s < 0.8
    assert np.abs(sound.samples[:, -1]).max() < 1e-6
    assert "%" in sound.metadata["made_of"]
    longer = instrument.render(seed=1, length=2.0)
    assert 1.5 < longer.duration_s / sound.duration_s < 2.0
    padded = instrument.render(seed=1, seconds=1.0)
    own = sound.samples.shape[1]
    np.testing.assert_array_equal(padded.samples[:, :own], sound.samples)
    assert padded.samples.shape[1] == 48_000
    assert not padded.samples[:, own:].any()
    for words, said in (
        ([], ""),
        (["seconds=1"], f"ends after {sound.duration_s:.2f} s; silence behind it"),
        (["seconds=0.1"], "cut before its own end"),
    ):
        assert generate.main([f"model={run}", "seed=1", "device=cpu", *words]) == 0
        assert said in capsys.readouterr().out
    written, _ = soundfile.read(next(Path("outputs/generated").glob("*seed1.wav")), dtype="float32")
    assert len(written) == own


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"kind": "future"}', "no prior is called 'future'"),
        ("{}", "cannot be read"),
    ],
)
def test_a_prior_that_cannot_be_read_names_the_way_out(
    run: Path, content: str, said: str, monkeypatch
) -> None:
    from timbrel.library import optional_parts

    place = run / "model" / "parts" / "prior"
    (place / "prior.json").write_text(content)
    record = json.loads((place / "part.json").read_text())
    record["checksums"] = optional_parts._checksums(place)
    (place / "part.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=said) as error:
        prior_of(load_bundle(run))
    assert "timbrel prior run=RUN" in str(error.value)


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["source=vary", "strength=0.8"], {"source": "vary", "strength": 0.8}),
        (
            ["source=between", "to=b.wav", "position=0", "position_to=1"],
            {"source": "between", "to": "b.wav", "position": 0.0, "position_to": 1.0},
        ),
        (["source=continue", "temperature=0.5"], {"source": "continue", "temperature": 0.5}),
    ],
)
def test_sounds_that_are_made_of_files_are_the_same_from_python(
    run: Path, words: list[str], settings: dict
) -> None:
    soundfile.write("a.wav", hit(2), 48_000)
    soundfile.write("b.wav", hit(4, 0.6), 48_000)
    given = [f"model={run}", "device=cpu", "seed=3", "input=a.wav", "output=c.wav", *words]
    assert generate.main(given) == 0
    audio = timbrel.load(run).render(input="a.wav", seed=3, **settings)
    audio.save("python.wav", encoding="24")
    assert Path("c.wav").read_bytes() == Path("python.wav").read_bytes()
    assert "a.wav" in audio.metadata["made_of"]
    if settings["source"] == "continue":
        assert audio.duration_s == pytest.approx(2 * 0.4, abs=0.03)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["source=vary"], "source=vary: needs input=FILE"),
        (["source=between", "input=a.wav"], "source=between: needs to=FILE"),
        (["source=continue", "input=."], "input=.: a folder; source=continue takes one file"),
        (["source=vary", "input=gone.wav"], "input=gone.wav: no such file"),
        (["to=a.wav"], "to=a.wav: source=prior does not take it"),
        (["source=vary", "input=silent.wav"], "nothing but silence"),
        (["source=vary", "input=a.wav", "position=0.1"], "position=0.1: only source=between"),
        (
            ["source=vary", "input=[a.wav,b.wav]"],
            "input=[a.wav,b.wav]: source=vary takes one; a list of two is for source=between",
        ),
        (
            ["source=between", "input=[a.wav]"],
            "input=[a.wav]: source=between takes two, as input=[a.wav,b.wav]",
        ),
        (["source=between", "input=[a.wav,a.wav,a.wav]"], "source=between takes two"),
        (
            ["source=between", "input=[a.wav,b.wav]", "to=a.wav"],
            "input=[a.wav,b.wav] and to=a.wav: both name the other end; leave out to=",
        ),
        (["source=between", "input=[a.wav,gone.wav]"], "input=gone.wav: no such file"),
        (["source=fill", "input=a.wav"], "source=fill: needs span=[FROM,TO]"),
        (["source=fill", "input=a.wav", "span=[0.2,0.1]"], "span=[0.2,0.1]: two times in seconds"),
        (["source=fill", "input=a.wav", "span=[0.2]"], "span=[0.2]: two times in seconds"),
        (["source=fill", "input=a.wav", "span=[-1,0.1]"], "span=[-1.0,0.1]: 0 or more"),
        (["source=vary", "input=a.wav", "span=[0,0.1]"], "span=[0.0,0.1]: only source=fill"),
        (
            ["source=fill", "input=a.wav", "span=[0,0.1]"],
            "are drawn by prior=bank; timbrel prior run=RUN prior=flow fits the one that fills",
        ),
    ],
)
def test_what_a_source_lacks_or_does_not_take_is_named(
    run: Path, words: list[str], said: str, capsys
) -> None:
    soundfile.write("a.wav", hit(2), 48_000)
    soundfile.write("silent.wav", 0 * hit(2), 48_000)
    assert generate.main([f"model={run}", "device=cpu", *words]) == 2
    assert said in capsys.readouterr().err


def test_without_the_recordings_codes_nothing_can_be_varied(run: Path) -> None:
    soundfile.write("a.wav", hit(2), 48_000)
    assert prior.main([f"run={run}", "prior=gaussian", "device=cpu"]) == 0
    with pytest.raises(UserError, match=r"source=vary: .* holds no codes .*timbrel prior run=RUN"):
        timbrel.load(run).render(source="vary", input="a.wav")
    assert timbrel.load(run).render(source="continue", input="a.wav").duration_s > 0.7


def test_a_list_of_two_is_the_ends_of_the_line(run: Path) -> None:
    soundfile.write("a.wav", hit(2), 48_000)
    soundfile.write("b, c.wav", hit(4, 0.6), 48_000)
    given = [f"model={run}", "device=cpu", "source=between", "position=0.3"]
    assert generate.main([*given, "input=a.wav", "to=b, c.wav", "output=one.wav"]) == 0
    assert generate.main([*given, "input=['a.wav','b, c.wav']", "output=other.wav"]) == 0
    assert Path("one.wav").read_bytes() == Path("other.wav").read_bytes()
    made = timbrel.load(run).render(source="between", input=["a.wav", "b, c.wav"], position=0.3)
    made.save("python.wav", encoding="24")
    assert Path("python.wav").read_bytes() == Path("one.wav").read_bytes()
    with pytest.raises(UserError, match="source=prior takes one; a list of two"):
        timbrel.load(run).render(input=("a.wav", "b, c.wav"))


@pytest.fixture
def flow_run(run: Path) -> Path:
    assert prior.main([f"run={run}", "prior=flow", "device=cpu"]) == 0
    soundfile.write("a.wav", hit(2), 48_000)
    return run


def test_what_is_filled_stays_as_it_is_elsewhere(flow_run: Path) -> None:
    instrument = timbrel.load(flow_run)
    model = instrument.model
    plain = instrument.render(source="a.wav", fade_out_s=0.0).samples
    start, stop = 9600, 11_000
    span = (start / 48_000, stop / 48_000)
    made = instrument.render(source="fill", input="a.wav", span=span, seed=1, fade_out_s=0.0)
    assert made.samples.shape == plain.shape
    reach = (model.decoder_context_frames + 1) * model.hop_samples
    assert 0 < start - reach < stop + reach < plain.shape[1]
    np.testing.assert_allclose(
        made.samples[:, : start - reach], plain[:, : start - reach], atol=1e-4
    )
    np.testing.assert_allclose(made.samples[:, stop + reach :], plain[:, stop + reach :], atol=1e-4)
    inside = (slice(None), slice(start, stop))
    other = instrument.render(source="fill", input="a.wav", span=span, seed=2, fade_out_s=0.0)
    assert np.abs(made.samples[inside] - plain[inside]).max() > 1e-4
    assert np.abs(made.samples[inside] - other.samples[inside]).max() > 1e-4
    words = ["source=fill", "input=a.wav", f"span=[{span[0]},{span[1]}]", "seed=1", "fade_out_s=0"]
    assert generate.main([f"model={flow_run}", "device=cpu", "output=c.wav", *words]) == 0
    made.save("python.wav", encoding="24")
    assert Path("c.wav").read_bytes() == Path("python.wav").read_bytes()


def test_a_span_behind_the_end_makes_a_sound_longer(flow_run: Path) -> None:
    instrument = timbrel.load(flow_run)
    model = instrument.model
    plain = instrument.render(source="a.wav", fade_out_s=0.0).samples
    made = instrument.render(source="fill", input="a.wav", span=(0.3, 0.5), fade_out_s=0.0)
    assert made.samples.shape[1] == 24_000
    kept = round(0.3 * 48_000) - (model.decoder_context_frames + 1) * model.hop_samples
    assert kept > 0
    np.testing.assert_allclose(made.samples[:, :kept], plain[:, :kept], atol=1e-4)
    cut = instrument.render(source="fill", input="a.wav", span=(0.3, 0.5), seconds=0.4)
    assert cut.samples.shape[1] == 19_200
    with pytest.raises(UserError, match=r"span=\[0.45,0.5\]: 'a.wav' ends at 0.40 s; let the span"):
        instrument.render(source="fill", input="a.wav", span=(0.45, 0.5))
    with pytest.raises(UserError, match=r"'a.wav' would be 3.00 s long; .* fills sounds of up to"):
        instrument.render(source="fill", input="a.wav", span=(0.3, 3.0))


def test_textures_are_drawn_as_it_is_asked_for(run: Path, capsys) -> None:
    words = [f"run={run}", "prior=resample", "device=cpu"]
    drawn = []
    for texture in ("quilt", "var"):
        assert prior.main([*words, f"prior.texture={texture}"]) == 0
        assert ("by a vector autoregression" in capsys.readouterr().out) == (texture == "var")
        assert prior_of(load_bundle(run)).texture == texture
        drawn.append(timbrel.load(run).render(seed=1, seconds=0.5))
    assert [sound.duration_s for sound in drawn] == [0.5, 0.5]
    assert np.abs(drawn[0].samples - drawn[1].samples).max() > 1e-4
    for others, said in (
        (["prior=gaussian"], "prior.kind=gaussian draws no textures by it; take prior=resample"),
        (["prior=auto", "prior.bank=false"], "which prior.bank=false leaves out"),
    ):
        assert prior.main([f"run={run}", "device=cpu", "prior.texture=var", *others]) == 2
        assert said in capsys.readouterr().err
