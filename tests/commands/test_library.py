"""`timbrel library`: lists, screens, mistakes, and the time they take."""

import csv
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from run_folders import write_bundle, write_evaluation, write_run
from timbrel import cli
from timbrel.commands.completion import candidates

OLD, NEW = "2026-01-02_030405_kicks_spectral_vae", "2026-01-03_030405_kicks_spectral_vae"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, one of a sweep, a run that was killed, a bundle, and what is none of these."""
    monkeypatch.chdir(tmp_path)
    write_run(Path("outputs", OLD), mrstft=1.25)
    write_evaluation(write_run(Path("outputs", NEW), steps=250), {"mrstft": (1.5, 1.375, 1.75)})
    sweep = Path("sweeps", "2026-01-01_000000_abcd")
    write_run(sweep / "0", overrides=("latent=beta_vae", "architecture=rave"), mrstft=2.0)
    write_run(sweep / "1", finished=False)
    write_bundle(Path("outputs", "given"))
    Path("outputs", NEW, "wandb", "run").mkdir(parents=True)
    Path("outputs", NEW, "wandb", "run", "config.yaml").touch()
    Path("outputs", "generated").mkdir()
    return tmp_path


def test_list_has_one_line_per_run_newest_first(here, capsys) -> None:
    assert cli.main(["library", "list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["run", "when", "data", "architecture"]
    runs = [line.split()[0] for line in lines]
    assert runs[:3] == ["outputs/given", f"outputs/{NEW}", f"outputs/{OLD}"]  # given: just now
    assert len(lines) == 5
    new, old = lines[1], lines[2]
    assert "2026-01-03 03:04  kicks  spectral" in new
    assert " 250  2 min 5 s  1.500 [1.38 1.75] " in new
    assert new.endswith("finished")
    assert " 100 50.0 s 1.250 " in " ".join(old.split())
    assert " 16  finished" in old  # 3 x 5 + 1 numbers in the header of its weights
    (killed,) = [line for line in lines if "sweeps/2026-01-01_000000_abcd/1" in line]
    assert killed.endswith("-  unfinished")
    assert lines[0].endswith("bundle")


def test_list_sorts_with_the_unknown_last(here, capsys) -> None:
    assert cli.main(["library", "list", "--sort", "mrstft", "outputs", "sweeps"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    runs = [line.split()[0].rpartition("/")[2] for line in lines]
    assert runs[:3] == [OLD, NEW, "0"]
    assert set(runs[3:]) == {"given", "1"}


def test_list_as_csv(here, capsys) -> None:
    assert cli.main(["library", "list", "sweeps", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    first = next(row for row in rows if row["folder"].endswith("/0"))
    assert first["architecture"] == "rave"
    assert first["latent"] == "beta_vae"
    assert first["when"] == "2026-01-01T00:00:00"
    assert float(first["test_mrstft"]) == 2.0
    assert first["test_mrstft_low"] == ""
    assert first["parameters"] == "16"


def test_a_damaged_run_is_named_and_passed_over(here, capsys) -> None:
    Path("outputs", OLD, "run.json").write_text("{")
    assert cli.main(["library", "list"]) == 0
    shown = capsys.readouterr()
    assert OLD not in shown.out
    assert NEW in shown.out
    assert "passed over: " in shown.err
    assert f"{OLD}/run.json' is damaged" in shown.err


def test_an_empty_place_says_so(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["library", "list"]) == 0
    assert capsys.readouterr().out == "no runs in outputs/, sweeps/: timbrel train makes one\n"


def test_a_narrow_terminal_keeps_names_and_scores(here, capsys, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_, **__: os.terminal_size((90, 24)))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert cli.main(["library", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 90
    assert "MR-STFT" in lines[0]


def test_show_tells_all_of_a_run(here, capsys) -> None:
    assert cli.main(["library", "show", f"outputs/{NEW}"]) == 0
    screen = capsys.readouterr().out
    for expected in (
        f"{NEW}   (finished)",
        "kicks: 12 files, 20.5 s to train on (hash aaaaaaaa)",
        "spectral, 16 parameters",
        "vae, 32 per frame",
        "250 steps, 2 min 5 s, limit 8m, best held-out loss 0.048 at step 250",
        "timbrel train data.root=/sounds/kicks",
        "trainer.max_time = 8m   (default 30m)",
        "1.500 [1.375, 1.750]",
        "4.300 [4.200, 4.400]",
        "ok    kl_floor: the code is used",
        "FAIL  held_out_ratio: overfitting; train for fewer steps",
        "parent    none",
        f"timbrel generate model=outputs/{NEW}",
        f"timbrel evaluate run=outputs/{NEW}    # again",
    ):
        assert expected in screen
    assert "trainer.max_steps" not in screen  # as by default
    assert len(screen.splitlines()) <= 45


def test_show_of_an_unfinished_run_says_how_to_go_on(here, capsys) -> None:
    assert cli.main(["library", "show", "abcd/1"]) == 0
    screen = capsys.readouterr().out
    assert "timbrel train run=sweeps/2026-01-01_000000_abcd/1    # go on" in screen
    assert "generate" not in screen


def test_show_of_a_bundle_and_of_the_one_inside_a_run(here, capsys) -> None:
    assert cli.main(["library", "show", "outputs/given"]) == 0
    screen = capsys.readouterr().out
    assert "given   (bundle)" in screen
    assert "timbrel generate model=outputs/given" in screen
    assert "evaluate run=" not in screen
    assert cli.main(["library", "show", f"outputs/{OLD}/model"]) == 0
    assert f"{OLD}   (finished)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["lst"],
            "library lst: no such command (list, show, presets, compare); did you mean 'list'?",
        ),
        (["list", "--srt=name"], "--srt=name: no such flag; did you mean '--sort'?"),
        (["list", "--sort=mrstf"], "did you mean 'mrstft'?"),
        (["list", "nowhere"], "'nowhere': no such folder"),
        (["show"], "library show: the following arguments are required: RUN"),
        (["show", "nothing_like_it"], "'nothing_like_it': no such run or bundle"),
        (["show", "outputs/givn"], "did you mean 'outputs/given'?"),
        (["show", "kicks"], "'kicks' names 2 runs; say which:"),
        (["show", "sweeps"], "'sweeps' is no run folder itself; it holds"),
        (["show", "outputs/generated"], "(it has no config.yaml)"),
        (["compare", OLD], "name two runs or more"),
    ],
)
def test_mistakes_are_told_with_status_2(here, capsys, words, message) -> None:
    assert cli.main(["library", *words]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_help_pages(capsys) -> None:
    for words in (["library"], ["library", "--help"], ["help", "library"]):
        assert cli.main(words) == 0
        assert "timbrel library show RUN" in capsys.readouterr().out
    for words in (["library", "list", "--help"], ["compare", "--help"]):
        with pytest.raises(SystemExit) as stopped:
            cli.main(words)
        assert stopped.value.code == 0
        assert words[-2] in capsys.readouterr().out
    assert cli.main(["--help"]) == 0
    page = capsys.readouterr().out
    assert "library list" in page
    assert "compare RUN RUN" in page


def test_a_hundred_runs_are_listed_in_a_blink_without_torch(tmp_path) -> None:
    for number in range(100):
        run = write_run(tmp_path / "outputs" / f"2026-01-02_{number:06d}_kicks", steps=5000)
        write_evaluation(run, {"mrstft": (1.5, 1.4, 1.6)})
    program = (
        "import sys; from timbrel import cli; status = cli.main(['library', 'list']); "
        "heavy = {'torch', 'numpy', 'hydra', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'imports {heavy}' if heavy else status)"
    )
    before_s = os.times().children_user  # not the clock, which other processes take too
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    taken_s = os.times().children_user - before_s
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 101
    assert taken_s < 3  # 0.2 s


def test_completion_offers_commands_and_runs(here) -> None:
    assert {"library", "compare"} <= set(candidates("timbrel "))
    assert candidates("timbrel library ") == ["list", "show", "presets", "compare"]
    assert candidates("timbrel library list --s") == ["--sort"]
    assert candidates("timbrel library list --sort mr") == ["mrstft"]
    both = [f"outputs/{OLD}", f"outputs/{NEW}"]
    assert candidates("timbrel library show outputs/20") == both
    assert candidates("timbrel compare ")[:1] == [both[0]]
    assert candidates(f"timbrel compare {both[0]} outputs/2026") == [both[1]]
    assert candidates("timbrel generate model=outputs/2026") == [f"model={run}" for run in both]
    assert candidates("timbrel train run=outputs/2026") == [f"run={run}" for run in both]
    assert candidates("timbrel train run=~/") == []  # the shell's own files
    assert candidates("timbrel lib") == ["library"]
