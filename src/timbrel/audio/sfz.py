"""SFZ: a text that tells a sampler which file to play for which key, how hard and in what turn."""

from collections.abc import Iterable
from dataclasses import dataclass

HIGHEST_VOLUME_DB, LOWEST_VOLUME_DB = 6.0, -144.0
MOST_TUNE_CENTS = 100


@dataclass(frozen=True)
class Region:
    """A file, where it is played, and what is corrected there.

    `loop` are the first and the last sample that repeat while the key is held. A `one_shot` plays
    to its end whatever the key does.
    """

    file: str
    keys: tuple[int, int]
    key: int
    velocities: tuple[int, int]
    take: int
    takes: int
    tune_cents: int = 0
    volume_db: float = 0.0
    loop: tuple[int, int] | None = None
    one_shot: bool = False

    def line(self) -> str:
        """The region as SFZ has it."""
        opcodes = {
            "lokey": self.keys[0],
            "hikey": self.keys[1],
            "pitch_keycenter": self.key,
            "lovel": self.velocities[0],
            "hivel": self.velocities[1],
        }
        if self.takes > 1:
            opcodes |= {"seq_length": self.takes, "seq_position": self.take}
        text = " ".join(f"{name}={value}" for name, value in opcodes.items())
        if self.tune_cents:
            text += f" tune={self.tune_cents}"
        if self.volume_db:
            text += f" volume={self.volume_db:g}"
        if self.loop is not None:
            text += f" loop_mode=loop_sustain loop_start={self.loop[0]} loop_end={self.loop[1]}"
        else:
            text += f" loop_mode={'one_shot' if self.one_shot else 'no_loop'}"
        # The name of a file may hold spaces: it comes last.
        return f"<region> {text} sample={self.file}"


def sfz_text(title: str, regions: Iterable[Region], *, release_s: float) -> str:
    """The instrument; `release_s` is how long a sound fades once its key is up.

    The level goes with the square of the velocity, which is what a sampler does by default.
    """
    lines = [f"// {title}", f"<global> amp_veltrack=100 ampeg_release={release_s:g}"]
    return "\n".join([*lines, *(region.line() for region in regions)]) + "\n"
