"""The notes of MIDI files: tempo, pedals, bends, channels, and files that are none."""

import importlib.util
from pathlib import Path

import mido
import numpy as np
import pytest

from songs import control, note, wheel, write_song
from timbrel.errors import UserError
from timbrel.generation.playing.midi_file import read_song
from timbrel.generation.playing.note import Note, joined_lines


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def spans(*events, **settings) -> list[tuple[float, float, float]]:
    """Start, stop and key of every note."""
    song = read_song(write_song("song.mid", *events), **settings)
    return [(round(n.start_s, 6), round(n.stop_s, 6), n.key) for n in song.notes]


def test_notes_of_all_tracks_follow_one_tempo_map() -> None:
    tempo = [(1.0, mido.MetaMessage("set_tempo", tempo=1_000_000))]  # half as fast from 1 s on
    assert spans(tempo, note(0.5, 1.0, 60), note(2.0, 3.0, 64, channel=2)) == [
        (0.5, 1.0, 60),
        (3.0, 5.0, 64),
    ]


def test_a_velocity_of_nothing_ends_a_note_and_a_key_that_is_struck_again_ends_itself() -> None:
    again = [*note(0.0, 9.0, 60)[:1], *note(1.0, 2.0, 60)]
    assert spans(again) == [(0.0, 1.0, 60), (1.0, 2.0, 60)]
    silent = [*note(0.0, 9.0, 60)[:1], *note(1.0, 9.0, 60, velocity=0)[:1]]
    assert spans(silent) == [(0.0, 1.0, 60)]


def test_a_pedal_holds_until_it_is_up_or_the_key_is_struck_again() -> None:
    pedal = [control(0.1, 64, 127), control(3.0, 64, 0)]
    played = [*note(0.2, 0.5, 60), *note(1.0, 1.2, 60), *note(0.3, 0.6, 64)]
    assert spans(pedal + played) == [(0.2, 1.0, 60), (0.3, 3.0, 64), (1.0, 3.0, 60)]
    song = read_song(write_song("song.mid", pedal + played))
    assert [round(n.up_s, 6) for n in song.notes] == [0.5, 0.6, 1.2]


def test_bends_go_as_far_as_the_range_that_the_file_sets() -> None:
    bent = [*note(0.0, 4.0, 60), wheel(1.0, 4096), wheel(2.0, -8192)]
    [played] = read_song(write_song("song.mid", bent)).notes
    assert played.pitch_at(np.array([0.5, 1.5, 2.5])).tolist() == [60.0, 61.0, 58.0]
    ranged = [control(0.0, 101, 0), control(0.0, 100, 0), control(0.0, 6, 12), control(0.0, 38, 50)]
    [played] = read_song(write_song("song.mid", ranged + bent)).notes
    assert played.pitch_at(np.array([1.5])).tolist() == [66.25]


def test_volume_and_expression_make_a_level_of_their_own_that_holds_until_the_next() -> None:
    moved = [
        *note(0.0, 9.0, 60), *note(5.5, 9.0, 64),
        control(0.0, 7, 100), control(1.0, 7, 50), control(2.0, 11, 64), control(3.0, 11, 0),
        control(5.0, 121, 0),
    ]  # fmt: skip
    long, late = read_song(write_song("song.mid", moved)).notes
    at = np.array([0.5, 1.5, 2.5, 3.5, 5.5])
    half = 40 * np.log10(0.5)
    wanted = [0.0, half, half + 40 * np.log10(64 / 127), half - 200.0, half]
    np.testing.assert_allclose(long.gain_db_at(at), wanted)
    assert late.gain_db_at(np.array([6.0])) == pytest.approx(half)  # what came before it counts
    other = [*moved, *note(0.0, 9.0, 60, channel=2)]
    assert {n.channel: n.gains[-1][1] for n in read_song(write_song("song.mid", other)).notes} == {
        1: pytest.approx(half), 2: 0.0,
    }  # fmt: skip


def test_drums_are_left_out_unless_they_are_asked_for() -> None:
    both = [*note(0.0, 1.0, 60), *note(0.0, 1.0, 36, channel=10), *note(1.0, 2.0, 62, channel=3)]
    song = read_song(write_song("song.mid", both))
    assert [n.key for n in song.notes] == [60, 62]
    assert song.notices == ("1 notes of channel 10 (drums) left out",)
    song = read_song(write_song("song.mid", both), channels=[3, 10])
    assert [(n.channel, n.key) for n in song.notes] == [(10, 36), (3, 62)]
    assert song.notices == ()


def test_a_note_without_an_end_ends_with_the_file() -> None:
    song = read_song(write_song("song.mid", [*note(0.0, 9.0, 60)[:1], *note(1.0, 2.0, 64)]))
    assert [(n.key, n.stop_s) for n in song.notes] == [(60, 2.0), (64, 2.0)]
    assert song.notices == ("1 notes without an end, which end with the file",)


def test_overlapping_notes_of_a_line_are_one_and_the_last_one_struck_sounds() -> None:
    def plain(start: float, stop: float, key: int, channel: int = 1) -> Note:
        return Note(start, stop, stop, 100, channel, ((start, key),))

    notes = [plain(0, 3, 60), plain(1, 2, 64), plain(3, 4, 67), plain(0.5, 1, 50, channel=2)]
    lines = joined_lines(notes)
    assert [(line.start_s, line.stop_s, line.channel) for line in lines] == [
        (0, 3, 1),
        (0.5, 1, 2),
        (3, 4, 1),
    ]
    assert lines[0].keys == ((0, 60), (1, 64), (2, 60))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "ends too early"),
        (b"RIFF" + bytes(40), "MThd not found"),
        (b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0\0\x20\0\x90", "ends too early"),
        (b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0\0\4\0\xff\x59\2", "cannot be read as MIDI"),
        (b"MThd\0\0\0\6\0\1\0\1\xe7\x28MTrk\0\0\0\4\0\xff\x2f\0", "counts frames, not beats"),
        (b"MThd\0\0\0\6\0\1\0\1\0\0MTrk\0\0\0\4\0\xff\x2f\0", "counts frames, not beats"),
        (b"MThd\0\0\0\6\0\2\0\1\1\xe0MTrk\0\0\0\4\0\xff\x2f\0", "type 2; save it as"),
        (b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0\0\4\0\xff\x2f\0", "no notes to play: none"),
    ],
)
def test_files_that_cannot_be_played_are_told(content: bytes, said: str) -> None:
    Path("song.mid").write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_song(Path("song.mid"))


def test_only_drums_are_told_with_the_way_out() -> None:
    write_song("song.mid", note(0.0, 1.0, 36, channel=10))
    with pytest.raises(UserError, match=r"only on channel 10; midi\.channels=\[10\] plays them"):
        read_song(Path("song.mid"))


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'timbrel\[midi\]'"):
        read_song(Path("song.mid"))
