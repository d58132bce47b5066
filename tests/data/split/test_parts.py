"""Splits: parts share no content and no time, and stay put when recordings are added."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from timbrel.data.cache.store import Clip
from timbrel.data.split.parts import (
    Segment,
    Split,
    SplitPlan,
    data_hash,
    hash_position,
    split_clips,
)
from timbrel.errors import UserError

N_SAMPLES = 480_000


def clips_of(*contents: str, n_samples: int = N_SAMPLES) -> list[Clip]:
    """Clips named after their content; "a=x" is a file a of content x."""
    return [
        Clip(
            clip_id=clip_id,
            name=text.split("=")[0] + ".wav",
            content_hash=text.split("=")[-1],
            rate_hz=48_000,
            n_samples=n_samples,
            channels=1,
            path=Path("nowhere.npy"),
        )
        for clip_id, text in enumerate(contents)
    ]


def many(count: int) -> list[Clip]:
    return clips_of(*(f"sound{i:03d}" for i in range(count)))


def names(segments) -> set[str]:
    return {segment.clip.name for segment in segments}


def assert_disjoint(split: Split, guard_samples: int = 0) -> None:
    """No sample of one content lies in two parts, nor within the guard of another part's."""
    for (_, one), (_, other) in combinations(split.parts().items(), 2):
        for a in one:
            for b in other:
                if a.clip.content_hash == b.clip.content_hash:
                    gap = max(b.start_sample - a.stop_sample, a.start_sample - b.stop_sample)
                    assert gap >= guard_samples, (a, b)
    for segments in split.parts().values():
        assert all(0 <= s.start_sample < s.stop_sample <= s.clip.n_samples for s in segments)


def part_of(split: Split) -> dict[str, str]:
    return {s.clip.name: part for part, segments in split.parts().items() for s in segments}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [5, 6, 12, 100, 500])
def test_parts_are_disjoint_complete_and_never_empty(count, seed):
    clips = many(count)
    split = split_clips(clips, SplitPlan(seed=seed))
    assert_disjoint(split)
    assert all(split.parts().values())
    assert sum(map(len, split.parts().values())) == count
    assert len(part_of(split)) == count


def test_shares_are_met_on_average():
    counts = Counter(part_of(split_clips(many(500), SplitPlan(seed=1))).values())
    # Binomial, n=500, p=0.1: 50 +- 6.7; bounds at 4 sigma.
    assert abs(counts["test"] - 50) < 27
    assert abs(counts["validation"] - 50) < 27


def test_hash_positions_are_uniform_and_depend_on_the_seed():
    positions = np.array([hash_position(f"sound{i}", 0) for i in range(4000)])
    histogram, _ = np.histogram(positions, 10, (0, 1))
    assert np.abs(histogram - 400).max() < 4 * np.sqrt(400 * 0.9)
    other = np.array([hash_position(f"sound{i}", 1) for i in range(4000)])
    assert abs(np.corrcoef(positions, other)[0, 1]) < 4 / np.sqrt(4000)


def test_an_added_recording_moves_no_earlier_one():
    before = part_of(split_clips(many(60), SplitPlan()))
    assert not split_clips(many(60), SplitPlan()).notes
    added = [*many(60), *clips_of(*(f"new{i}" for i in range(40)))]
    after = part_of(split_clips(added, SplitPlan()))
    assert {name: after[name] for name in before} == before


def test_the_order_and_the_names_of_files_play_no_part():
    split = split_clips(many(30), SplitPlan())
    assert part_of(split_clips(many(30)[::-1], SplitPlan())) == part_of(split)
    renamed = clips_of(*(f"other{i}=sound{i:03d}" for i in range(30)))
    assert data_hash(split_clips(renamed, SplitPlan())) == data_hash(split)


def test_an_empty_part_takes_the_smallest_position_and_says_so():
    clips = many(6)
    by_position = sorted(clips, key=lambda clip: hash_position(clip.content_hash, 0))
    plan = SplitPlan(test_fraction=1e-9, validation_fraction=1e-9)
    split = split_clips(clips, plan)
    assert names(split.test) == {by_position[0].name}
    assert names(split.validation) == {by_position[1].name}
    assert f"'{by_position[0].name}' was taken for the test part" in split.notes[0]
    assert f"'{by_position[1].name}' was taken for the validation part" in split.notes[1]


@pytest.mark.parametrize(("validation", "test"), [(0.98, 0.01), (0.01, 0.98), (0.5, 0.499)])
def test_something_always_trains(validation, test):
    plan = SplitPlan(validation_fraction=validation, test_fraction=test)
    split = split_clips(many(7), plan)
    assert all(split.parts().values())
    assert_disjoint(split)


def test_a_share_of_zero_leaves_the_part_empty():
    split = split_clips(many(40), SplitPlan(test_fraction=0.0))
    assert not split.test
    assert split.validation
    split = split_clips(many(40), SplitPlan(test_fraction=0.0, validation_fraction=0.0))
    assert len(split.train) == 40


@pytest.mark.parametrize("seed", range(20))
def test_equal_contents_stay_together(seed):
    clips = clips_of("a", "b=a", "c=a", "d", "e", "f=e", "g", "h", "i")
    parts = part_of(split_clips(clips, SplitPlan(seed=seed)))
    assert parts["a.wav"] == parts["b.wav"] == parts["c.wav"]
    assert parts["e.wav"] == parts["f.wav"]


def test_few_recordings_are_told_of_cross_fitting():
    assert any("data.folds" in note for note in split_clips(many(19), SplitPlan()).notes)
    assert not any("data.folds" in note for note in split_clips(many(20), SplitPlan()).notes)


@pytest.mark.parametrize(("count", "folds"), [(3, 3), (12, 5), (19, 4), (100, 10)])
def test_cross_fitting_tests_every_recording_once(count, folds):
    tested, validated = Counter(), Counter()
    for fold in range(folds):
        split = split_clips(many(count), SplitPlan(folds=folds, fold=fold))
        assert_disjoint(split)
        assert all(split.parts().values())
        assert sum(map(len, split.parts().values())) == count
        assert abs(len(split.test) - count / folds) < 1
        tested.update(names(split.test))
        validated.update(names(split.validation))
    assert set(tested.values()) == set(validated.values()) == {1}
    assert len(tested) == len(validated) == count


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_below_five_pieces_are_held_out_with_a_guard(count, seed):
    plan = SplitPlan(seed=seed, guard_samples=30_000)
    split = split_clips(many(count), plan)
    assert_disjoint(split, guard_samples=30_000)
    assert all(len(segments) == count for segments in split.parts().values())
    assert all(
        s.n_samples == round(0.1 * (N_SAMPLES - 60_000)) for s in split.test + split.validation
    )
    # All samples but the two gaps are used.
    assert all(s.n_samples == N_SAMPLES - 60_000 - 2 * 42_000 for s in split.train)
    assert "fewer than 5" in split.notes[0]
    assert "30000" in split.notes[0]


def test_copies_do_not_make_five_recordings():
    split = split_clips(clips_of("a", "b=a", "c=a", "d=a", "e=a"), SplitPlan())
    assert "fewer than 5" in split.notes[0]
    assert_disjoint(split, guard_samples=65_536)


def test_tests_are_at_either_end():
    starts = [split_clips(many(1), SplitPlan(seed=s)).test[0].start_sample for s in range(20)]
    assert 3 < starts.count(0) < 17


def test_the_shortest_that_can_be_cut():
    plan = SplitPlan(guard_samples=1000, segment_samples=500)
    split = split_clips(clips_of("a", n_samples=3500), plan)
    assert [len(range(s.start_sample, s.stop_sample)) for s in split.train] == [500]
    assert_disjoint(split, guard_samples=1000)
    with pytest.raises(UserError, match="has 3499 samples, and 3500 are needed"):
        split_clips(clips_of("a", n_samples=3499), plan)


def test_too_few_and_too_short_names_the_ways_out():
    with pytest.raises(UserError, match=r"'sound000.wav'.*add recordings") as one:
        split_clips(clips_of("sound000", n_samples=100), SplitPlan())
    assert "folds" not in str(one.value)
    with pytest.raises(UserError, match=r"data\.folds=3"):
        split_clips(clips_of("a", "b", "c", n_samples=100), SplitPlan())


def test_a_short_one_among_long_ones_trains_whole():
    clips = [*clips_of("long"), *[c for c in clips_of("x", "short", n_samples=9000) if c.clip_id]]
    split = split_clips(clips, SplitPlan())
    assert names(split.train) == {"long.wav", "short.wav"}
    assert names(split.test) == {"long.wav"}
    assert any("'short.wav' is too short" in note for note in split.notes)


def test_no_recordings_are_refused():
    with pytest.raises(UserError, match="no recording"):
        split_clips([], SplitPlan())


@pytest.mark.parametrize(
    "bad",
    [
        {"validation_fraction": 0.5, "test_fraction": 0.5},
        {"test_fraction": -0.1},
        {"folds": 2},
        {"folds": 5, "fold": 5},
        {"folds": 5, "split_file": Path("x.json")},
    ],
)
def test_impossible_plans_are_refused(bad):
    with pytest.raises(UserError):
        SplitPlan(**bad)


def test_more_folds_than_recordings_are_refused():
    with pytest.raises(UserError, match="only 6 recordings"):
        split_clips([*many(6), *clips_of("copy=sound000")], SplitPlan(folds=7))


def test_data_hash_follows_content_and_assignment():
    split = split_clips(many(30), SplitPlan())
    assert data_hash(split) == data_hash(split_clips(many(30), SplitPlan()))
    assert data_hash(split) != data_hash(split_clips(many(31), SplitPlan()))
    assert data_hash(split) != data_hash(split_clips(many(30), SplitPlan(seed=1)))
    assert data_hash(split) != data_hash(Split(split.train, split.test, split.validation))


# Explicit lists


def plan_of(tmp_path: Path, content, **settings) -> SplitPlan:
    path = tmp_path / "split.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return SplitPlan(split_file=path, **settings)


def test_flat_lists_are_taken_as_they_are(tmp_path):
    lists = {"train": ["a.wav", "c.wav"], "validation": ["b.wav"], "test": ["d.wav"]}
    split = split_clips(clips_of("a", "b", "c", "d", "e"), plan_of(tmp_path, lists))
    assert names(split.train) == {"a.wav", "c.wav"}
    assert names(split.validation) == {"b.wav"}
    assert names(split.test) == {"d.wav"}
    assert split.notes == ("in no list of 'split.json', and left out: 'e.wav'",)


def test_themes_by_folder_name_or_by_setting(tmp_path):
    lists = {
        "drums": {"train": [f"sound{i:03d}.wav" for i in range(6)], "test": ["sound006.wav"]},
        "other": {"train": [f"sound{i:03d}.wav" for i in range(1, 7)], "test": ["sound000.wav"]},
    }
    by_folder = split_clips(many(7), plan_of(tmp_path, lists), folder="drums")
    assert names(by_folder.test) == {"sound006.wav"}
    by_setting = split_clips(many(7), plan_of(tmp_path, lists, split_theme="other"), folder="drums")
    assert names(by_setting.test) == {"sound000.wav"}
    with pytest.raises(UserError, match="did you mean 'drums'"):
        split_clips(many(7), plan_of(tmp_path, lists), folder="drum")


def test_names_in_sub_folders_and_other_unicode_forms(tmp_path):
    clips = clips_of("kit/kick", "kit/snare", "more/kick", "caf\N{LATIN SMALL LETTER E}\u0301")
    lists = {
        "train": ["snare.wav", "kit/kick.wav"],
        "validation": ["more\\kick.wav"],
        "test": ["./caf\N{LATIN SMALL LETTER E WITH ACUTE}.wav"],
    }
    split = split_clips(clips, plan_of(tmp_path, lists))
    assert names(split.train) == {"kit/kick.wav", "kit/snare.wav"}
    assert names(split.validation) == {"more/kick.wav"}
    assert len(split.test) == 1
    with pytest.raises(UserError, match=r"'kick.wav' fits 'kit/kick.wav', 'more/kick.wav'"):
        split_clips(clips, plan_of(tmp_path, {"train": ["kick.wav"], "test": []}))


def test_validation_is_drawn_from_the_train_list_by_hash(tmp_path):
    lists = {
        "train": [f"sound{i:03d}.wav" for i in range(30)],
        "test": [f"sound{i:03d}.wav" for i in range(30, 36)],
    }
    split = split_clips(many(36), plan_of(tmp_path, lists, validation_fraction=0.2))
    assert len(split.test) == 6
    assert names(split.train) | names(split.validation) == set(lists["train"])
    expected = {clip.name for clip in many(30) if hash_position(clip.content_hash, 0) < 0.2}
    assert names(split.validation) == expected
    assert_disjoint(split)


def test_a_train_list_below_five_holds_out_pieces_of_it(tmp_path):
    lists = {"train": ["sound000.wav", "sound001.wav"], "test": ["sound002.wav"]}
    split = split_clips(many(3), plan_of(tmp_path, lists))
    assert_disjoint(split, guard_samples=65_536)
    assert names(split.validation) == names(split.train) == set(lists["train"])
    assert [(s.start_sample, s.stop_sample) for s in split.test] == [(0, N_SAMPLES)]


def test_a_short_train_list_below_five_holds_out_one_of_it(tmp_path):
    clips = clips_of("a", "b", "c", n_samples=100)
    plan = plan_of(tmp_path, {"train": ["a.wav", "b.wav"], "test": ["c.wav"]})
    split = split_clips(clips, plan)
    assert [len(segments) for segments in split.parts().values()] == [1, 1, 1]
    assert_disjoint(split)


def test_an_empty_test_list_is_noted(tmp_path):
    lists = {"train": [f"sound{i:03d}.wav" for i in range(5)], "test": []}
    split = split_clips(many(5), plan_of(tmp_path, lists))
    assert [len(segments) for segments in split.parts().values()] == [4, 1, 0]
    assert any("test list is empty" in note for note in split.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ([], "expected"),
        ({"train": "a.wav"}, "no theme"),
        ({"train": ["a.wav"], "tset": []}, "did you mean 'test'"),
        ({"train": [1]}, "not a list of file names"),
        ({"train": [], "test": ["a.wav"]}, "'train' is empty"),
        ({"train": ["a.wav"], "test": ["b.vaw"]}, "did you mean 'b.wav'"),
        ({"train": ["a.wav", "b.wav"], "test": ["b.wav"]}, "are the same file"),
        ({"train": ["a.wav"], "test": ["copy.wav"]}, "'a.wav' in 'train' and 'copy.wav' in 'test'"),
        ({"drums": ["a.wav"], "train": {}}, "is none of train"),
    ],
)
def test_lists_that_do_not_fit_are_refused(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        split_clips(clips_of("a", "b", "copy=a"), plan_of(tmp_path, content))


def test_a_missing_list_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.json.*No such file"):
        split_clips(many(5), SplitPlan(split_file=tmp_path / "absent.json"))


def test_every_theme_of_the_real_lists_fits_its_folder(shared):
    path = shared / "data" / "splits.json"
    for theme, lists in json.loads(path.read_text()).items():
        folder = shared / "data" / theme
        found = sorted(
            p.relative_to(folder).as_posix()
            for p in folder.rglob("*")
            if p.suffix.lower() not in (".md", ".csv", ".txt", ".json") and p.is_file()
        )
        clips = clips_of(*(name for name in found))
        clips = [Clip(**{**vars(c), "name": name}) for c, name in zip(clips, found, strict=True)]
        split = split_clips(clips, SplitPlan(split_file=path), folder=theme)
        assert names(split.test) == set(lists["test"])
        assert names(split.train) | names(split.validation) == set(lists["train"])
        assert split.validation
        assert_disjoint(split)


def test_samples_of_a_segment_are_its_own_array(tmp_path):
    whole = np.asfortranarray(np.arange(20, dtype=np.float32).reshape(2, 10))
    np.save(tmp_path / "clip.npy", whole)
    clip = Clip(0, "a.wav", "a", 10, 10, 2, tmp_path / "clip.npy")
    samples = Segment(clip, 3, 7).samples()
    np.testing.assert_array_equal(samples, whole[:, 3:7])
    assert samples.flags.c_contiguous
    assert samples.flags.writeable
    assert not isinstance(samples, np.memmap)


def test_labels_tell_the_pieces_of_a_recording_apart():
    (clip,) = clips_of("long")
    assert Segment(clip, 0, N_SAMPLES).label == "long.wav"
    labels = [Segment(clip, *ends).label for ends in ((0, 24_000), (24_000, N_SAMPLES))]
    assert labels == ["long.wav [0.000-0.500 s]", "long.wav [0.500-10.000 s]"]
