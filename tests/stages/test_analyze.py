"""`timbrel analyze`: a run gets sliders, its page shows them, and `generate` plays them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import timbrel
from signals import sine
from stages.training_jobs import FAST, TINY, lean
from timbrel.analysis import slider_gates
from timbrel.analysis.slider_candidates import PROFILES, Profile
from timbrel.errors import UserError
from timbrel.metrics.analysis_scores import ANALYSIS_SCORES
from timbrel.metrics.sliders import AXES
from timbrel.report.run_map import sound_map
from timbrel.report.run_report import write_run_report
from timbrel.runs.analysis import analysis_scores
from timbrel.runs.folder import read_run, read_table
from timbrel.stages import analyze, evaluate, generate, train
from wandb_records import inspected, of_kind, summary

SMALL = Profile("quick", 6, 2, 3, components=1, learned=True)


@pytest.fixture(autouse=True, scope="module")
def _small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROFILES, "quick", SMALL)
        yield


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analyze")
    (folder / "hits").mkdir()
    for i in range(8):
        t = np.arange(19_200) / 48_000
        hit = 0.5 * sine(110.0 * (i + 1), 0.4) * 10 ** (-(6 + i) * t)
        soundfile.write(folder / "hits" / f"{i}.wav", hit, 48_000)
    with pytest.MonkeyPatch.context() as patch:
        lean(patch)
        patch.chdir(folder)
        words = [*TINY, f"data.root={folder / 'hits'}", "trainer.max_steps=4", "hydra.run.dir=run"]
        words.append("latent=ar_vae")
        words[words.index("prior=gaussian")] = "prior=auto"
        words.remove("logger=none")
        assert train.main(words) == 0
        assert analyze.main(["run=run", "profile=quick", "device=cpu", "device.threads=1"]) == 0
    return folder / "run"


@pytest.fixture
def run(analysed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(analysed, tmp_path / "run"))


def test_every_axis_has_a_verdict_with_its_reason(run: Path) -> None:
    rows = read_table(run / "analysis" / "sliders.csv", ())
    assert [row["axis"] for row in rows] == [axis.name for axis in AXES]
    for row in rows:
        assert row["verdict"] in ("ok", "weak", "dsp", "not held")
        assert (row["why"] == "") == (row["verdict"] == "ok")
    mapper = timbrel.load(run).mapper
    assert mapper.profile == "quick"
    assert mapper.tracks == {}
    assert mapper.sliders["pitch"].verdict == "not held"  # a decoder that follows no track
    assert mapper.sliders["width"].verdict == "not held"
    assert mapper.sliders["width"].why == "the model is mono"
    page = write_run_report(run).read_text()
    assert "random directions" in page
    assert "No sliders have been looked for" not in page


def test_every_candidate_is_in_the_table(run: Path) -> None:
    tried = {row["candidate"] for row in read_table(run / "analysis" / "responses.csv", ())}
    units = {"ar_log_f0_octaves", "ar_log_centroid_octaves"}
    assert tried >= {"nothing", "tilt", "component_0", "jacobian_brightness", *units}
    drawn = {name for name in tried if name.startswith("random_")}
    directions = ("ar", "component", "probe", "sae", "jacobian")
    assert len(drawn) == sum(name.split("_")[0] in directions for name in tried)


def test_traversals_can_be_heard(run: Path) -> None:
    paths = sorted((run / "analysis" / "traversals").glob("*.wav"))
    assert paths
    for path in paths:
        audio, _ = soundfile.read(path)
        assert np.isfinite(audio).all()
    axes = {path.stem.rsplit("_", 1)[0] for path in paths}
    assert all(len([p for p in paths if p.stem.startswith(f"{axis}_")]) == 5 for axis in axes)


def test_its_gates_stand_with_those_of_the_evaluation(run: Path) -> None:
    """And an evaluation has them again, by its own limits; not where the model is another one."""
    gates = read_table(run / "evaluation" / "gates.csv", ())
    names = [gate["gate"] for gate in gates]
    assert names[-3:] == [*slider_gates.GATES]
    assert {"kl_floor", "interpolation"} <= {*names}
    with pytest.MonkeyPatch.context() as patch:
        lean(patch)
        words = [f"run={run}", *FAST, "limits.sliders=null"]
        assert evaluate.main(words) == 0
        again = read_table(run / "evaluation" / "gates.csv", ())
        assert [gate["gate"] for gate in again] == names
        assert again[-3]["meaning"] == "not checked: switched off (limits.sliders=null)"
        assert again[-2] == gates[-2]
        record = run / "model/parts/mapper/part.json"
        record.write_text(record.read_text().replace('"model_hash": "', '"model_hash": "0'))
        assert evaluate.main(words) == 0
    assert "sliders" not in [g["gate"] for g in read_table(run / "evaluation" / "gates.csv", ())]


def test_wandb_has_the_analysis_under_the_identity_of_the_training(analysed: Path) -> None:
    """Read back from the second offline run: tables with sounds, and the numbers as a summary."""
    trained, added = (inspected(f) for f in sorted((analysed / "wandb").glob("offline-run-*")))
    first, second = (of_kind(rows, "run")[0] for rows in (trained, added))
    assert first["run_id"] == second["run_id"]
    logged = summary(added)
    for row in read_table(analysed / "analysis" / "sliders.csv", ("sdot", "smoothness")):
        assert logged[f"sliders/{row['axis']}/verdict"] == row["verdict"]
        for name in ("sdot", "smoothness"):
            found = logged.get(f"sliders/{row['axis']}/{name}", np.nan)
            assert found == pytest.approx(row[name], nan_ok=True)
    # A study has the same numbers by the same names.
    of_study = analysis_scores(analysed)
    assert {"sliders/ok"} <= of_study.keys() <= ANALYSIS_SCORES.keys()
    assert {name: logged[name] for name in of_study} == pytest.approx(of_study)
    for gate in read_table(analysed / "evaluation" / "gates.csv", ())[-3:]:
        assert logged[f"gate/{gate['gate']}_passed"] == gate["passed"]
    tables = {row["name"].rpartition("-")[2]: row for row in of_kind(added, "artifact")}
    assert tables.keys() == {"sliders", "disentanglement"}
    # Level has a traversal of every model: it is there to hear, and in the run's own folder.
    sounds = {Path(c["path"]).name: c for c in tables["sliders"]["manifest"]["contents"]}
    assert {f"level_{place}.wav" for place in (0, 2, 4)} <= sounds.keys()
    for place in (0, 2, 4):
        kept = Path(sounds[f"level_{place}.wav"]["local_path"])
        assert kept.is_relative_to(analysed)
        heard = analysed / "analysis" / "traversals" / f"level_{place}.wav"
        assert kept.read_bytes() == heard.read_bytes()
    (table,) = (analysed / "wandb").glob("offline-run-*/files/media/table/sliders_*.json")
    content = json.loads(table.read_text())
    assert content["columns"][:2] == ["axis", "verdict"]
    assert content["columns"][-3:] == ["low", "middle", "high"]
    assert [row[0] for row in content["data"]] == [axis.name for axis in AXES]


def test_the_map_has_every_recording_and_new_sounds(run: Path) -> None:
    rows = read_table(run / "analysis" / "map.csv", ("x", "y"))
    kinds = [row["kind"] for row in rows]
    assert kinds == sorted(kinds, key=["train", "validation", "test", "new"].index)
    assert len(rows) - kinds.count("new") <= 8
    assert kinds.count("new") == 4
    assert all(np.isfinite([row["x"], row["y"]]).all() for row in rows)
    for row in rows:
        audio, rate_hz = soundfile.read(run / "analysis" / row["sound"])
        assert rate_hz == 24_000
        assert 0 < len(audio) <= 24_000
    made = sound_map(read_run(run))
    assert made is not None
    assert len(made.points) == len(rows)


@pytest.mark.slow
def test_the_same_run_gets_the_same_sliders(run: Path) -> None:
    before = (run / "model/parts/mapper/mapper.json").read_bytes()
    assert analyze.main([f"run={run}", "profile=quick", "device=cpu", "device.threads=1"]) == 0
    assert (run / "model/parts/mapper/mapper.json").read_bytes() == before


def test_controls_are_the_same_from_python_and_told(run: Path, capsys) -> None:
    given = [f"model={run}", "device=cpu", "seed=1", "seconds=0.5", "output=out"]
    assert generate.main([*given, "controls.level_db=-6", "controls.brightness_octaves=0.2"]) == 0
    said = capsys.readouterr().out
    assert "level_db" in said
    assert "LUFS (asked" in said
    [path] = Path("out").iterdir()
    instrument = timbrel.load(run)
    controls = {"level_db": -6.0, "brightness_octaves": 0.2}
    audio = instrument.render(seed=1, seconds=0.5, controls=controls)
    audio.save("python.wav")
    assert path.read_bytes() == Path("python.wav").read_bytes()
    with soundfile.SoundFile(path) as file:
        assert json.loads(file.comment)["controls"] == controls


def test_a_preset_keeps_its_controls(run: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    given = [f"model={run}", "device=cpu", "seed=1", "seconds=0.5"]
    assert generate.main([*given, "controls.level_db=-9", "output=a", "preset.save=soft"]) == 0
    assert generate.main([*given, "source=preset", "input=soft", "output=b"]) == 0
    first, again = (soundfile.read(next(Path(f).iterdir()))[0] for f in "ab")
    np.testing.assert_array_equal(first, again)
    plain = timbrel.load(run).render(seed=1, seconds=0.5).samples
    assert np.abs(first).max() < 0.5 * np.abs(plain).max()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["controls.pitch_st=3"], "cannot move pitch"),
        (["controls.brigtness_hz=3"], "did you mean 'controls.brightness_hz'"),
        (["controls.attack_ms=-3"], "controls.attack_ms=-3"),
        (["controls.spatial=0.5"], "no slider of this family"),
        (["controls.from=a.wav"], "follows no tracks"),
        (["controls.level_db=nowhere.csv"], "'nowhere.csv': no such file"),
        (["controls.level_db=[[0,1],[0,2]]"], "controls.level_db: breakpoint 2: at 0 s"),
        (["controls.level_db=[[0,1]]", "controls.precise=true"], "controls.precise: corrects"),
        (
            ["controls.level_db=1", "source=continue", "input=a.wav", "seconds=700"],
            "for sounds of up to 600 s; add seconds=",
        ),
    ],
)
def test_what_cannot_be_is_told(run: Path, words: list[str], said: str, capsys) -> None:
    soundfile.write("a.wav", 0.3 * sine(300.0, 0.3), 48_000)
    assert generate.main([f"model={run}", "device=cpu", *words]) == 2
    assert said in capsys.readouterr().err


ASKED = (
    "attributes.centroid_hz=900",
    "attributes.rolloff_hz=3000",
    "attributes.flatness=0.1",
    "attributes.log_attack_time=-2",
    "attributes.decay_db_per_s=60",
    "attributes.hnr_db=10",
    "attributes.onsets_per_s=3",
    "attributes.f0_hz=220",
)


@pytest.mark.parametrize("word", ASKED)
def test_every_attribute_can_be_asked_for(run: Path, word: str, capsys) -> None:
    name = word.partition("=")[0].partition(".")[2]
    status = generate.main([f"model={run}", "device=cpu", word])
    shown = capsys.readouterr()
    if status == 0:
        assert f", {name} " in shown.out
    else:  # none of this model's sounds has it
        assert f"{word.partition('=')[0]}: none of 24 sounds" in shown.err


MOVED = (
    "controls.pitch_hz=220",
    "controls.pitch_st=2",
    "controls.brightness_hz=900",
    "controls.brightness_octaves=0.2",
    "controls.hnr_db=10",
    "controls.hnr_change_db=-6",
    "controls.attack_ms=20",
    "controls.attack_times=2",
    "controls.decay_db_per_s=60",
    "controls.decay_times=2",
    "controls.onsets_per_s=3",
    "controls.speed_times=1.5",
    "controls.width=0.2",
    "controls.width_change=0.1",
    "controls.level_lufs=-20",
    "controls.level_db=-3",
    "controls.timbre=0.5",
    "controls.harmony=0.5",
    "controls.temporal=0.5",
    "controls.spatial=0.5",
)


@pytest.mark.parametrize("word", MOVED)
def test_every_control_lands_or_says_why_not(run: Path, word: str, capsys) -> None:
    name = word.partition("=")[0].partition(".")[2]
    status = generate.main([f"model={run}", "device=cpu", word, "controls.precise=true"])
    shown = capsys.readouterr()
    if status == 0:
        assert f", {name} " in shown.out
    else:
        assert f"controls.{name}: " in shown.err


def test_a_model_without_sliders_says_how_it_gets_them(run: Path) -> None:
    shutil.rmtree(run / "model/parts/mapper")
    with pytest.raises(UserError, match=r"timbrel analyze run=RUN finds them"):
        timbrel.load(run).render(controls={"level_db": 1.0})


def test_a_run_that_is_none_is_told(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert analyze.main(["run=nowhere"]) == 2
    assert "run=nowhere" in capsys.readouterr().err
