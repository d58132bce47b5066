"""Songs by a sound of a model: where notes begin, how high and loud they are, and how they end."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import timbrel
from bundles import small_bundle, tone_bundle
from signals import sine
from songs import control, note, wheel, write_song
from timbrel.attributes.measurement import measure
from timbrel.errors import UserError
from timbrel.generation.playing.note import hz_of
from timbrel.generation.prior.bank import Bank
from timbrel.generation.prior.encoded import encoded_clip
from timbrel.library import Instrument, RenderSettings
from timbrel.library.playing import covered_keys, song
from timbrel.stages import generate

RATE_HZ = 48_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone_bundle(tmp_path_factory.mktemp("playing") / "model")


@pytest.fixture(scope="module")
def instrument(model: Path) -> Instrument:
    return timbrel.load(model)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    seconds = np.arange(RATE_HZ) / RATE_HZ
    level = np.interp(seconds, [0, 0.1, 0.12, 0.6, 0.8, 1], [-99, -99, 0, -1, -61, -99])
    soundfile.write("held.wav", 0.3 * 10 ** (level / 20) * sine(220.0, 1.0), RATE_HZ)


def played(instrument: Instrument, *events, **settings) -> np.ndarray:
    """The only channel of a song."""
    path = write_song("song.mid", *events)
    settings = {"sound": "held.wav", **settings}
    return instrument.render(source="midi", input=path, **settings).samples[0]


def level_db(audio: np.ndarray, start_s: float, stop_s: float) -> float:
    part = audio[round(start_s * RATE_HZ) : round(stop_s * RATE_HZ)]
    return 10 * np.log10(np.mean(np.square(part, dtype=np.float64)) + 1e-20)


def cents(audio: np.ndarray, start_s: float, stop_s: float, key: float) -> float:
    part = audio[None, round(start_s * RATE_HZ) : round(stop_s * RATE_HZ)]
    f0_hz, defined = measure(part, RATE_HZ).track("f0_hz")
    return 1200 * float(np.log2(np.median(f0_hz[defined]) / hz_of(key)))


def test_notes_begin_at_their_times_with_their_pitches_and_levels(instrument: Instrument) -> None:
    plan = [(0.2, 45, 127), (0.8, 57, 100), (1.4, 64, 64), (2.0, 76, 30)]
    audio = played(instrument, [e for t, key, v in plan for e in note(t, t + 0.3, key, v)])
    loudest = level_db(audio, 0.25, 0.45)
    for start_s, key, velocity in plan:
        assert abs(cents(audio, start_s + 0.08, start_s + 0.28, key)) < 3
        wanted = loudest + 40 * np.log10(velocity / 127)
        assert level_db(audio, start_s + 0.05, start_s + 0.25) == pytest.approx(wanted, abs=2)
        part = np.abs(audio[round((start_s - 0.1) * RATE_HZ) : round((start_s + 0.2) * RATE_HZ)])
        onset_s = np.argmax(part > 0.1 * part.max()) / RATE_HZ - 0.1
        assert abs(onset_s) < 0.01


def test_expression_swells_a_note_and_leaves_its_pitch(instrument: Instrument) -> None:
    swell = [control(0.3 + 0.01 * i, 11, 40 + i) for i in range(88)]  # 40 to 127 within 0.87 s
    events = [*note(0.2, 1.6, 57), control(0.0, 11, 40)]
    plain, moved = played(instrument, events[:2]), played(instrument, events + swell)
    for start_s in (0.22, 0.6, 0.9, 1.3):
        value = np.clip(40 + (start_s + 0.05 - 0.3) / 0.01, 40, 127)
        gained = level_db(moved, start_s, start_s + 0.1) - level_db(plain, start_s, start_s + 0.1)
        assert gained == pytest.approx(40 * np.log10(value / 127), abs=0.5)
    assert abs(cents(moved, 0.4, 1.0, 57)) < 3


def test_a_note_lasts_as_long_as_its_key_and_falls_as_the_sound_does(instrument) -> None:
    audio = played(instrument, [*note(0.0, 0.2, 60), *note(1.0, 3.0, 60)], seconds=3.5)
    for start_s, stop_s in ((0.0, 0.2), (1.0, 3.0)):
        body = level_db(audio, start_s + 0.05, start_s + 0.15)
        assert level_db(audio, stop_s - 0.05, stop_s) > body - 6  # 2 dB/s, as it fell by itself
        assert level_db(audio, stop_s + 0.25, stop_s + 0.3) < body - 40
    assert np.abs(np.diff(audio)).max() < 2 * np.abs(np.diff(audio[2400:7200])).max()  # no click


def test_a_pedal_holds_and_a_line_moves_without_an_onset(instrument: Instrument) -> None:
    pedal = [control(0.0, 64, 127), *note(0.1, 0.2, 60), control(1.5, 64, 0)]
    audio = played(instrument, pedal)
    assert level_db(audio, 1.3, 1.45) > level_db(audio, 0.2, 0.35) - 6
    line = [*note(0.1, 0.7, 60), *note(0.6, 1.2, 64)]
    audio = played(instrument, line, midi={"legato": True, "glide_s": 0.03})
    assert abs(cents(audio, 0.3, 0.5, 60)) < 3
    assert abs(cents(audio, 0.75, 1.0, 64)) < 3
    steps = [level_db(audio, t, t + 0.03) for t in np.arange(0.5, 0.8, 0.03)]
    assert max(steps) - min(steps) < 3
    apart = played(instrument, line)
    assert max(abs(apart)) > 1.3 * max(abs(audio))  # two sounds at once


def test_bends_and_transposing_move_the_pitch(instrument: Instrument) -> None:
    bent = [*note(0.0, 1.5, 57), wheel(0.5, 8191)]
    audio = played(instrument, bent, midi={"transpose": -12})
    assert abs(cents(audio, 0.2, 0.45, 45)) < 3
    assert abs(cents(audio, 0.6, 1.4, 47)) < 3


def test_chords_add_up_and_the_length_is_the_songs_or_as_asked(instrument: Instrument) -> None:
    def chord(*keys: int) -> np.ndarray:
        events = [event for key in keys for event in note(0.1, 0.6, key)]
        return played(instrument, events, seconds=1.0)

    both = chord(57, 63)
    assert both.shape == (RATE_HZ,)
    # The second note is another take of the sound: its level adds up, its samples do not.
    alone = [level_db(chord(key), 0.2, 0.5) for key in (57, 63)]
    wanted = 10 * np.log10(sum(10 ** (db / 10) for db in alone))
    assert level_db(both, 0.2, 0.5) == pytest.approx(wanted, abs=1)


def test_the_command_line_gives_the_same_bytes_and_tells(model: Path, instrument, capsys) -> None:
    write_song("song.mid", [*note(0.0, 0.2, 60), *note(0.1, 0.3, 36, channel=10)])
    words = [f"model={model}", "device=cpu", "source=midi", "input=song.mid", "sound=held.wav"]
    words += ["midi.transpose=2", "midi.legato=true", "midi.glide_s=0.02", "midi.release_s=0.1"]
    words += ["output=song.wav"]
    assert generate.main(words) == 0
    assert "1 notes, 1 notes of channel 10 (drums) left out" in capsys.readouterr().out
    midi = {"transpose": 2, "legato": True, "glide_s": 0.02, "release_s": 0.1}
    audio = instrument.render(source="midi", input="song.mid", sound="held.wav", midi=midi)
    audio.save("python.wav")
    assert Path("song.wav").read_bytes() == Path("python.wav").read_bytes()
    with soundfile.SoundFile("song.wav") as file:
        told = json.loads(file.comment)
    assert told["source"] == "midi song.mid"
    assert (told["sound"], told["notes"], told["midi"]["transpose"]) == ("held.wav", 1, 2.0)


def test_a_preset_keeps_the_sound_and_a_batch_plays_several(model, instrument, capsys) -> None:
    path = write_song("song.mid", note(0.0, 0.1, 60))
    settings = RenderSettings(sound="held.wav")
    instrument.save_preset("held", instrument.prepare(settings, source="midi", input=path))
    by_preset = instrument.render(source="midi", input=path, sound="preset:held")
    by_file = instrument.render(source="midi", input=path, sound="held.wav")
    assert np.array_equal(by_preset.samples, by_file.samples)
    words = [f"model={model}", "device=cpu", "source=midi", "input=song.mid", "count=2"]
    assert generate.main([*words, "output=out"]) == 0
    assert len(list(Path("out").glob("tone_midi_song_seed*.wav"))) == 2
    assert generate.main([*words, "output=out"]) == 0
    assert "0 sounds written, 2 were there" in capsys.readouterr().out


def test_with_variety_notes_are_other_sounds_like_it(instrument: Instrument) -> None:
    model = instrument.model
    clips = tuple(
        encoded_clip(model, (0.3 * sine(hz, 0.4))[None].astype("f4"), f"{hz}") for hz in (200, 300)
    )
    settings = RenderSettings(sound="held.wav", variety=0.3)
    plain = instrument.played(RenderSettings(sound="held.wav"), {})
    sound = replace(plain, bank=Bank(clips, model.conditions), settings=settings)
    assert plain.like(3) is plain.sound
    assert sound.like(0) is sound.sound
    other = sound.like(1)
    assert other is sound.like(1)
    assert np.abs(other.sound.rows[:4, :20] - sound.sound.sound.rows[:4, :20]).max() > 0.01
    path = write_song("song.mid", [*note(0.0, 0.2, 60), *note(0.4, 0.6, 60)])
    rendering = song(sound, path, None)
    audio = np.concatenate(list(rendering.blocks), axis=1)[0]
    assert abs(cents(audio, 0.45, 0.6, 60)) < 3
    low, high = covered_keys(sound.bank)
    assert hz_of(low) == pytest.approx(200, rel=0.002)
    assert hz_of(high) == pytest.approx(300, rel=0.002)
    assert "2 notes outside of the recordings' G3 to D4" not in rendering.notices
    high_song = song(sound, write_song("high.mid", note(0.0, 0.1, 90)), None)
    assert "1 notes outside of the recordings' G3 to D4 (midi.transpose= moves them)" in (
        high_song.notices
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"controls": {"level_db": 3}}, "controls: not with source=midi"),
        ({"midi": {"legatto": True}}, "did you mean 'midi.legato'|did you mean 'legato'"),
        ({"midi": {"channels": [17]}}, r"midi\.channels=\[17\]: between 1 and 16"),
        ({"sound": "held.wav", "temperature": 0.5}, "temperature: of a new sound, but sound="),
        ({"variety": 0.5, "sound": "held.wav"}, "holds no codes of its recordings"),
        ({"sound": "gone.wav"}, "gone.wav"),
    ],
)
def test_what_cannot_be_played_is_told(instrument: Instrument, settings: dict, said: str) -> None:
    path = write_song("song.mid", note(0.0, 0.1, 60))
    with pytest.raises(UserError, match=said):
        instrument.render(source="midi", input=path, **settings)


def test_other_sources_take_no_notes_and_other_models_no_songs(instrument, tmp_path) -> None:
    with pytest.raises(UserError, match=r"midi\.\*: only source=midi takes it"):
        instrument.render(seconds=0.1, midi={"legato": True})
    with pytest.raises(UserError, match=r"sound=held\.wav: only source=midi or keys"):
        instrument.render(seconds=0.1, sound="held.wav")
    path = write_song("song.mid", note(0.0, 0.1, 60))
    other = timbrel.load(small_bundle(tmp_path / "model"))
    with pytest.raises(UserError, match="follows no pitch; train one that does"):
        other.render(source="midi", input=path)


def test_a_silent_sound_and_a_diverged_model_are_told(instrument, model: Path) -> None:
    path = write_song("song.mid", note(0.0, 0.1, 60))
    soundfile.write("silent.wav", np.zeros(4800), RATE_HZ)
    with pytest.raises(UserError, match=r"silent\.wav: nothing but silence"):
        instrument.render(source="midi", input=path, sound="silent.wav")
    broken = timbrel.load(model)
    broken.model.decoder.noise.values.bias[:] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        broken.render(source="midi", input=path, sound="held.wav")


def test_what_is_cut_is_the_beginning_of_the_whole(instrument: Instrument) -> None:
    path = write_song("song.mid", [*note(0.0, 0.3, 60), *note(0.5, 0.8, 64), *note(2.0, 3.0, 67)])
    settings = {"sound": "held.wav", "fade_out_s": 0.0}
    whole = instrument.render(source="midi", input=path, **settings).samples
    part = instrument.render(source="midi", input=path, seconds=0.6, **settings).samples
    np.testing.assert_array_equal(part, whole[:, : part.shape[1]])


def test_a_sound_without_a_pitch_is_played_as_it_is_and_told(instrument: Instrument) -> None:
    noise = np.random.default_rng(0).standard_normal(24_000) * np.linspace(0.3, 0, 24_000)
    soundfile.write("hiss.wav", noise, RATE_HZ)
    path = write_song("song.mid", note(0.0, 0.1, 60))
    settings = RenderSettings(sound="hiss.wav")
    rendering = instrument.prepare(settings, source="midi", input=path)
    assert "hiss.wav has no pitch, every note plays it as it is" in rendering.notices
