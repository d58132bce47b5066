"""Measuring in a process of its own: Python's lock leaves threads one core.

Run as `python -m timbrel.data.attribute_process`, which reads sounds from its input and writes
measurements to its output, as `timbrel.data.decode_process` does.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from timbrel.attributes.measurement import Measurement
from timbrel.data.attribute_store import Sound, measured
from timbrel.errors import UserError

COMMAND = (sys.executable, "-P", "-m", "timbrel.data.attribute_process")


class MeasuringProcess:
    """One process that measures one sound after the other."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        # The cores are taken by processes; threads of their own would get in each other's way.
        single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | single
        )

    def measured(self, sound: Sound, folder: Path) -> Measurement:
        """As `attribute_store.measured`. Raises UserError too where the process dies of it."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a measuring process was started without pipes")
        try:
            pickle.dump((sound, folder), self._process.stdin)
            self._process.stdin.flush()
            outcome = pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError) as error:
            raise UserError(
                f"{sound.name!r}: the process that measures its attributes ended on it; start "
                "again, and if it happens again convert the file to WAV or remove it"
            ) from error
        if isinstance(outcome, UserError):
            raise outcome
        return outcome

    def close(self) -> None:
        """End the process, after the sound it is at."""
        try:
            self._process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        except BrokenPipeError:
            self._process.wait()


def serve() -> None:
    """Measure what comes in, until the input ends."""
    while True:
        try:
            sound, folder = pickle.load(sys.stdin.buffer)
        except (EOFError, KeyboardInterrupt):
            return
        outcome: Measurement | UserError
        try:
            outcome = measured(sound, folder)
        except UserError as error:
            outcome = error
        except KeyboardInterrupt:
            return
        pickle.dump(outcome, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
