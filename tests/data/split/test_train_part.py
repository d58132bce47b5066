"""Few training files are drawn nested, by seed and content; further folders join the train part."""

import json
from pathlib import Path

import pytest

from data.split.test_parts import clips_of, many, names
from timbrel.data.split.parts import SplitPlan, split_clips
from timbrel.data.split.train_part import draw_train_files, with_further
from timbrel.errors import UserError


@pytest.mark.parametrize("seed", range(4))
def test_draws_are_nested_and_leave_the_other_parts_alone(seed: int) -> None:
    split = split_clips(many(60), SplitPlan(seed=seed))
    whole = draw_train_files(split, len(split.train), seed=seed)
    assert whole.train == split.train
    smaller = names(split.train)
    for count in (20, 10, 5, 1):
        drawn = draw_train_files(split, count, seed=seed)
        assert len(drawn.train) == count
        assert names(drawn.train) < smaller
        assert (drawn.validation, drawn.test) == (split.validation, split.test)
        smaller = names(drawn.train)


def test_seeds_draw_other_files_and_each_file_about_as_often() -> None:
    split = split_clips(many(60), SplitPlan())
    drawn = [names(draw_train_files(split, 10, seed=seed).train) for seed in range(200)]
    assert len({frozenset(one) for one in drawn}) == 200
    share = 10 / len(split.train)
    often = [sum(name in one for one in drawn) for name in names(split.train)]
    # Binomial, n=200: bounds at 4.5 sigma over some 50 files.
    assert max(abs(n - 200 * share) for n in often) < 4.5 * (200 * share * (1 - share)) ** 0.5


def test_names_and_order_do_not_matter_and_an_added_file_takes_one_place() -> None:
    clips = many(60)
    split = split_clips(clips, SplitPlan())
    drawn = names(draw_train_files(split, 10, seed=3).train)
    assert names(draw_train_files(split_clips(clips[::-1], SplitPlan()), 10, seed=3).train) == drawn
    added = split_clips([*clips, *clips_of("new")], SplitPlan())
    assert len(drawn - names(draw_train_files(added, 10, seed=3).train)) <= 1


def test_equal_contents_are_one_recording() -> None:
    split = split_clips(clips_of("a", "a2=a", "b", "c", "d", "e", "f", "g"), SplitPlan())
    contents = {segment.clip.content_hash for segment in split.train}
    drawn = draw_train_files(split, len(contents), seed=0)
    assert drawn.train == split.train
    assert len(split.train) in (len(contents), len(contents) + 1)


def test_more_than_there_are_is_refused_with_the_numbers() -> None:
    split = split_clips(many(30), SplitPlan())
    train, validation, test = (len(part) for part in split.parts().values())
    with pytest.raises(UserError) as refused:
        draw_train_files(split, train + 1, seed=0)
    assert str(refused.value).startswith(
        f"data.train_files={train + 1}: only {train} recording(s) train, beside {validation} for "
        f"validation and {test} for test"
    )


def test_with_lists_the_test_part_stays_for_every_seed(tmp_path: Path) -> None:
    clips = many(36)
    lists = {
        "train": [clip.name for clip in clips[:30]],
        "test": [clip.name for clip in clips[30:]],
    }
    path = tmp_path / "lists.json"
    path.write_text(json.dumps(lists))
    trained, validated = set(), set()
    for seed in range(5):
        plan = SplitPlan(seed=seed, split_file=path, validation_fraction=0.2)
        whole = split_clips(clips, plan)
        for count in (3, 12):
            drawn = draw_train_files(whole, count, seed=seed)
            assert names(drawn.test) == set(lists["test"])
            assert drawn.validation == whole.validation  # whatever the number of training files
            assert not names(drawn.train) & names(drawn.validation)
        trained.add(frozenset(names(drawn.train)))
        validated.add(frozenset(names(drawn.validation)))
    assert len(trained) == len(validated) == 5


def test_further_folders_train_beside_lists(tmp_path: Path) -> None:
    split = split_clips(many(10), SplitPlan())
    # Ids go by path: here the further folder's files come between those of the root.
    clips = many(12)[10:]
    joined = with_further(split, clips, tmp_path / "lists.json")
    assert names(joined.train) == names(split.train) | {"sound010.wav", "sound011.wav"}
    ids = [segment.clip.clip_id for segment in joined.train]
    assert ids == sorted(ids)
    assert (joined.validation, joined.test) == (split.validation, split.test)
    assert "all 2 recording(s) of data.also are used for training" in joined.notes[-1]
