"""The command line as a person meets it: one process per call where the process matters."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from timbrel import cli
from timbrel.commands.completion import candidates
from timbrel.config.options import options
from timbrel.config.stage_schemas import STAGES

TIMBREL = Path(sys.executable).with_name("timbrel")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_stage_group_and_option(words, capsys):
    assert cli.main(words) == 0
    page = capsys.readouterr().out
    for name in STAGES:
        assert f"\n  {name} " in page
    for group, names in options().items():
        assert f"\n  {group} " in page
        assert ", ".join(names) in page
    assert page.count("\n  timbrel train ") >= 2
    assert "timbrel completion" in page


def test_help_imports_neither_hydra_nor_torch():
    program = (
        "import sys; from timbrel import cli; cli.main(['--help']); "
        "heavy = {'hydra', 'omegaconf', 'torch', 'numpy', 'lightning', 'wandb'} & set(sys.modules);"
        "sys.exit(f'imports {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("stage", STAGES)
def test_composing_imports_nothing_heavy(stage):
    program = (
        f"import sys; from timbrel import cli; status = cli.main(['{stage}', '--cfg', 'job']); "
        "heavy = {'torch', 'numpy', 'lightning', 'wandb', 'scipy'} & set(sys.modules); "
        "sys.exit(f'imports {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_help_of_a_stage_by_either_order(capsys):
    assert cli.main(["help", "train"]) == 0
    first = capsys.readouterr().out
    assert cli.main(["train", "--help"]) == 0
    assert capsys.readouterr().out == first
    assert "trainer.max_steps=null" in first


def test_version(capsys):
    from timbrel import __version__

    for words in (["--version"], ["train", "--version"]):
        assert cli.main(words) == 0
        assert capsys.readouterr().out == f"timbrel {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["trian"],
            "trian: no such stage (inspect, train, evaluate, prior, analyze, generate); "
            "did you mean 'train'?",
        ),
        (["seed=1"], "seed=1: the stage comes first"),
        (["--multirun", "train"], "--multirun: the stage comes first"),
        (["completion"], "give one shell"),
        (["completion", "zhs"], "did you mean 'zsh'?"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(words, message, capsys):
    assert cli.main(words) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_a_reader_that_leaves_early_is_no_error():
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {TIMBREL} --help | head -n 1"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "timbrel ",
            [
                "ablate",
                "analyze",
                "compare",
                "completion",
                "evaluate",
                "generate",
                "inspect",
                "library",
                "prior",
                "train",
            ],
        ),
        ("timbrel evaluate evaluate.str", ["evaluate.strict="]),
        ("timbrel tr", ["train"]),
        ("timbrel completion ", ["bash", "fish", "zsh"]),
        ("timbrel train architecture=spectral_", ["architecture=spectral_small"]),
        ("timbrel train data=demo trainer.max_", ["trainer.max_steps=", "trainer.max_time="]),
        (
            "timbrel train device.accelerator=c",
            ["device.accelerator=cpu", "device.accelerator=cuda"],
        ),
        ("timbrel train dry_run=", ["dry_run=true", "dry_run=false"]),
        ("timbrel train experiment=dr", ["experiment=drums_8min"]),
        ("timbrel train --cfg ", ["job", "hydra", "all"]),
        ("timbrel train --mul", ["--multirun"]),
        ("timbrel train data.root=~/", []),
        ("timbrel generate arch", []),
        ("timbrel generate export", ["export.", "export="]),
        ("timbrel trian seed", []),
    ],
)
def test_completion_knows_stages_choices_keys_and_values(line, expected):
    assert candidates(line) == expected


def test_completion_offers_every_option_of_every_group():
    for group, names in options().items():
        for stage, about in STAGES.items():
            if group in about.schema.__dataclass_fields__ and group not in ("experiment", "sweep"):
                offered = candidates(f"timbrel {stage} {group}=")
                assert offered == [f"{group}={name}" for name in names]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_completion_inside_bash(tmp_path):
    """The installed function itself, driven as readline drives it: `=` splits words."""
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run(
        [TIMBREL, "completion", "bash"], env=environment, check=True, capture_output=True
    )
    script = tmp_path / "bash-completion" / "completions" / "timbrel"
    program = f"""
        source {script}
        complete -p timbrel
        for line in "timbrel tr" "timbrel train latent=beta_v" "timbrel train trainer.max_t"; do
            COMP_LINE=$line COMP_POINT=${{#line}} COMPREPLY=()
            _timbrel {TIMBREL}
            echo "${{COMPREPLY[@]}}"
        done
    """
    done = subprocess.run(
        ["bash", "--norc", "-i", "-c", program], env=environment, capture_output=True, text=True
    )
    rule, *answers = done.stdout.splitlines()
    assert rule.endswith("-F _timbrel timbrel")
    assert answers == ["train", "beta_vae", "trainer.max_time="]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_its_shell_accepts(shell, capsys):
    assert cli.main(["completion", shell, "--print"]) == 0
    script = capsys.readouterr().out
    assert "_complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
