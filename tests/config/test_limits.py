"""Limits stand once: every stage, gate and alarm takes them from the registry."""

import math
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from timbrel.analysis.gates import judged, unknown
from timbrel.config.limit import Limit
from timbrel.config.limits import DEFAULTS, LIMITS, LimitsConfig, moved
from timbrel.config.schema import AlarmsConfig, TrainConfig
from timbrel.errors import UserError
from timbrel.stages.composing import compose
from timbrel.stages.run_folders import saved_config

WORDS = dict.fromkeys(("step", "dimensions", "nats", "counts", "seed", "file"), "seven")


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_a_stage_has_every_limit_with_its_default(stage: str) -> None:
    required = ["data=demo"] if stage == "train" else ["run=somewhere"]
    assert dict(compose(stage, required).limits) == DEFAULTS


def test_an_analysis_has_those_by_which_it_judges_and_refuses_others() -> None:
    limits = compose("analyze", ["run=somewhere", "limits.sliders=2"]).limits
    assert dict(limits) == {"sliders": 2, "slider_extremes": 1.0, "traversal_smoothness": 0.5}
    with pytest.raises(UserError, match=r"limits\.coverage: no such key"):
        compose("analyze", ["run=somewhere", "limits.coverage=0.2"])


def test_keys_and_numbers_of_validations_are_each_ones_own() -> None:
    assert len(DEFAULTS) == len(LIMITS)
    read = [limit.reads for limit in LIMITS.values() if limit.reads]
    assert len(set(read)) == len(read) == 5


@pytest.mark.parametrize("name", LIMITS)
def test_a_gate_judges_by_its_direction_and_says_what_to_do(name: str) -> None:
    limit = LIMITS[name]
    above, below = limit.default * 1.01, limit.default * 0.99
    good, bad = (below, above) if limit.direction == "at_most" else (above, below)
    for value, passed in ((good, True), (bad, False), (limit.default, limit.direction != "above")):
        row = judged(name, value, limit.default, start_s=0.5, rate_hz=93.75, **WORDS)
        assert (row.name, row.value, row.limit, row.passed) == (name, value, limit.default, passed)
        assert "{" not in row.meaning
    assert unknown(name, limit.default, "why").passed is None


def test_without_a_limit_a_number_is_told_and_not_judged() -> None:
    row = judged("coverage", 0.0, None, counts="")
    assert (row.value, row.passed) == (0.0, None)
    assert row.meaning == "not checked: switched off (limits.coverage=null)"
    assert math.isnan(row.limit)
    assert math.isnan(unknown("coverage", None, "why").limit)


def test_a_direction_is_read_as_it_says() -> None:
    texts = dict.fromkeys(("help", "title", "held", "broken"), "")
    made = {
        direction: Limit(key="k", default=1, direction=direction, **texts)
        for direction in ("above", "at_least", "at_most")
    }
    held = {name: [limit.holds(x, 1) for x in (0, 1, 2)] for name, limit in made.items()}
    assert held == {
        "above": [False, False, True],
        "at_least": [False, True, True],
        "at_most": [True, True, False],
    }
    assert not any(limit.holds(math.nan, 1) for limit in made.values())


OLD = {
    "grace_steps": 7, "patience": 2, "kl_floor_nats": 0.25, "active_units": None,
    "decode_change": 0.3, "held_out_ratio": 1.2, "generalisation_gap": 0.5,
}  # fmt: skip


def test_limits_of_an_earlier_run_stood_under_alarms(tmp_path: Path) -> None:
    config = OmegaConf.to_container(compose("train", ["data=demo"]), enum_to_str=True)
    assert isinstance(config, dict)
    del config["limits"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**config, "alarms": OLD}))
    saved = saved_config(tmp_path)
    assert dict(saved.alarms) == {"grace_steps": 7, "patience": 2}
    own = {key: value for key, value in OLD.items() if key in DEFAULTS}
    assert dict(saved.limits) == {**DEFAULTS, **own}


def test_limits_that_stand_beside_an_earlier_runs_alarms_stay() -> None:
    both = {"alarms": {"kl_floor_nats": 1.0, "patience": 3}, "limits": {"kl_floor_nats": 2.0}}
    assert moved(both) == {"alarms": {"patience": 3}, "limits": {"kl_floor_nats": 2.0}}


def test_a_limit_that_there_is_no_more_is_left_out() -> None:
    saved = {"limits": {"diversity": 0.1, "coverage": 0.2}}
    assert moved(saved) == {"limits": {"coverage": 0.2}}
    assert moved({**saved, "alarms": OLD})["limits"]["coverage"] == 0.2


def test_a_config_of_now_stays_as_it_is() -> None:
    config = OmegaConf.to_container(OmegaConf.structured(TrainConfig), enum_to_str=True)
    assert isinstance(config, dict)
    assert moved(config) == config
    assert moved({"data": {}}) == {"data": {}}
    assert not vars(AlarmsConfig()).keys() & DEFAULTS.keys()
    assert vars(LimitsConfig()) == DEFAULTS


@pytest.mark.parametrize(
    ("stage", "old", "key"),
    [
        *(("train", f"alarms.{limit.key}", limit.key) for limit in LIMITS.values() if limit.reads),
        *(("evaluate", f"evaluate.{key}", key) for key in DEFAULTS),
    ],
)
def test_a_key_of_before_is_told_its_new_name(stage: str, old: str, key: str) -> None:
    with pytest.raises(UserError, match=rf"{old}: no such key; did you mean 'limits.{key}'"):
        compose(stage, [f"{old}=0.2"])
