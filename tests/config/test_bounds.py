"""What passes the check of a config is not refused by what is built from it, and limits stand once.

Every numeric key of every stage is taken to both of its ends, and one past them.
"""

import math
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from timbrel.audio.export import ExportSettings
from timbrel.config import checks as config_checks
from timbrel.config.bounds import Bounds
from timbrel.config.choices import DataKind, Downmix, Short, Source
from timbrel.config.generate_schema import GenerateConfig
from timbrel.config.schema import (
    AnalyzeConfig,
    DataConfig,
    EvaluateConfig,
    InspectConfig,
    PriorStageConfig,
    TrainConfig,
)
from timbrel.config.stage_schemas import STAGES
from timbrel.data.cache import entry, store
from timbrel.data.chunks import chunk as chunks
from timbrel.data.chunks.sampling import StepSampler, TrainingChunks
from timbrel.data.demo import demo_set
from timbrel.data.split.parts import SplitPlan
from timbrel.errors import UserError
from timbrel.library.instrument import RenderSettings
from timbrel.stages.overrides import schema_keys

# Keys that mean something together.
BESIDE: dict[str, dict[str, Any]] = {
    "data.fold": {"data.folds": 3},
    "data.validation_fraction": {"data.test_fraction": 0.0},
    "data.test_fraction": {"data.validation_fraction": 0.0},
    "seconds": {"fade_out_s": 0.0},
    "span": {"source": Source.fill, "input": "preset:glass"},
    "velocities": {"source": Source.keys},
    "round_robins": {"source": Source.keys},
}

# What is built from a key, here from a value that the check lets pass.
BUILDS: dict[str, Callable[[Any], Any]] = {
    "data.sample_rate_hz": lambda hz: (
        store._check_settings(hz, 1, "mean", "none"),
        demo_set._check(1, 0, hz),
    ),
    "data.channels": lambda channels: store._check_settings(48_000, channels, "mean", "none"),
    "data.files": lambda files: demo_set._check(files, 0, 48_000),
    "data.folds": lambda folds: SplitPlan(folds=folds),
    "data.fold": lambda fold: SplitPlan(folds=3, fold=fold),
    "data.validation_fraction": lambda share: SplitPlan(
        validation_fraction=share, test_fraction=0.0
    ),
    "data.test_fraction": lambda share: SplitPlan(validation_fraction=0.0, test_fraction=share),
    "trainer.batch_size": lambda size: StepSampler(batch_size=size),
    **{
        f"export.{key}": lambda value, key=key: ExportSettings(**{key: value})
        for key in ("encoding", "sample_rate_hz", "ceiling_dbtp")
    },
    **{
        key: lambda value, key=key: RenderSettings(**{key: value})
        for key in ("seconds", "temperature", "gain_db", "fade_in_s", "fade_out_s")
    },
    "span": lambda start: RenderSettings(span=(start, start + 1)),
    "variety": lambda share: RenderSettings(variety=share),
    **{
        f"midi.{key}": lambda value, key=key: RenderSettings(midi={key: value})
        for key in ("glide_s", "transpose", "release_s")
    },
    "file.transpose": lambda semitones: RenderSettings(file={"transpose": semitones}),
    "midi.channels": lambda channel: RenderSettings(midi={"channels": [channel]}),
}


def numeric(annotation: Any) -> bool:
    return bool({int, float} & {annotation, *typing.get_args(annotation)})


def bounded() -> Iterator[tuple[str, str, Any, Bounds]]:
    for stage, about in STAGES.items():
        for key, annotation, item in schema_keys(about.schema):
            if "bounds" in item.metadata:
                yield stage, key, annotation, item.metadata["bounds"]


def test_every_number_of_the_schema_has_bounds() -> None:
    for stage, about in STAGES.items():
        for key, annotation, item in schema_keys(about.schema):
            assert not numeric(annotation) or "bounds" in item.metadata, f"{stage}: {key}"


def test_what_is_built_is_built_from_keys_of_the_schema() -> None:
    assert BUILDS.keys() <= {key for _, key, _, _ in bounded()}


def ends(annotation: Any, bounds: Bounds) -> tuple[list[Any], list[Any]]:
    """The smallest and the largest value accepted, and those one past them."""
    if bounds.choices:
        return list(bounds.choices), ["nothing" if annotation is str else 7]
    whole = int in {annotation, *typing.get_args(annotation)}
    inside, past = [], [math.nan]
    if bounds.least is not None:
        inside.append(bounds.least)
        past.append(bounds.least - 1 if whole else math.nextafter(bounds.least, -math.inf))
    if bounds.above is not None:
        inside.append(bounds.above + 1 if whole else math.nextafter(bounds.above, math.inf))
        past.append(bounds.above)
    if bounds.most is not None and bounds.most < math.inf:
        inside.append(bounds.most)
        past.append(bounds.most + 1 if whole else math.nextafter(bounds.most, math.inf))
    if bounds.below is not None:
        inside.append(math.nextafter(bounds.below, -math.inf))
        past.append(bounds.below)
    if bounds.most is None and bounds.below is None:
        past.append(math.inf)
    return inside, past


def composed(stage: str, folder: Path, key: str, value: Any) -> Any:
    """A config without a mistake, but for `key`."""
    data = DataConfig(kind=DataKind.demo, root=None, files=4)
    config: Any = {
        "train": lambda: TrainConfig(data=data),
        "inspect": lambda: InspectConfig(data=data),
        "evaluate": lambda: EvaluateConfig(run=str(folder)),
        "prior": lambda: PriorStageConfig(run=str(folder)),
        "analyze": lambda: AnalyzeConfig(run=str(folder)),
        "generate": lambda: GenerateConfig(model=str(folder)),
    }[stage]()
    if stage == "train":
        config.trainer.max_time = "8m"
    for name, given in {**BESIDE.get(key, {}), key: value}.items():
        *path, leaf = name.split(".")
        section = config
        for part in path:
            section = getattr(section, part)
        listed = [given, given + 1 if name == "span" else given]
        setattr(section, leaf, listed if isinstance(getattr(section, leaf), list) else given)
    return config


@pytest.mark.parametrize(("stage", "key", "annotation", "bounds"), bounded())
def test_both_ends_pass_and_can_be_built_and_one_past_is_refused(
    stage: str, key: str, annotation: Any, bounds: Bounds, tmp_path: Path
) -> None:
    inside, past = ends(annotation, bounds)
    for value in inside:
        config_checks.check(composed(stage, tmp_path, key, value))
        if key in BUILDS:
            BUILDS[key](value)
    for value in past:
        with pytest.raises(UserError) as caught:
            config_checks.check(composed(stage, tmp_path, key, value))
        assert f"{key}=" in str(caught.value)
        if key in BUILDS:
            with pytest.raises(UserError, match=f"{key}="):
                BUILDS[key](value)


def test_chunks_of_a_training_have_the_bounds_of_their_key() -> None:
    with pytest.raises(UserError, match=r"data\.chunk_samples=1023: 1024 or more"):
        TrainingChunks([], seed=0, chunk_samples=1023)


def test_rules_across_keys_are_those_of_what_is_built() -> None:
    for wrong in (
        {"folds": 3, "fold": 3},
        {"validation_fraction": 0.5, "test_fraction": 0.5},
        {"folds": 3, "split_file": Path("lists.json")},
        {"fold": 1},
    ):
        with pytest.raises(UserError, match=r"data\."):
            SplitPlan(**wrong)
    with pytest.raises(UserError, match="FLAC holds whole numbers"):
        ExportSettings(format="flac", encoding="32f")


@pytest.mark.parametrize(
    ("names", "choices"),
    [(chunks.Short, Short), (entry.Downmix, Downmix)],
)
def test_choices_are_those_of_what_is_built(names: Any, choices: Any) -> None:
    assert set(typing.get_args(names)) == {choice.value for choice in choices}


def test_a_config_of_no_stage_is_no_config_of_generate() -> None:
    with pytest.raises(TypeError, match="DataConfig is the config of no stage"):
        config_checks.check(DataConfig())  # type: ignore[arg-type]


def test_every_item_of_a_list_has_to_be_within() -> None:
    bounds = Bounds(least=0, below=1)
    assert bounds.holds([0.0, 0.99])
    assert not bounds.holds([0.9, 1.0])
    assert not bounds.holds([-0.1, 0.9])
