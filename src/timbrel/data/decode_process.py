"""Decoding in a process of its own: a fault of a decoder does not end training's process.

Run as `python -m timbrel.data.decode_process`, which reads jobs from its input and writes entries
to its output. Not `multiprocessing`: that runs the caller's script again in every child, and
imports torch if the script does.
"""

import pickle
import subprocess
import sys
from collections.abc import Sequence

from timbrel.data.cache_entry import (
    DamagedEntryError,
    Job,
    Sidecar,
    load_entry,
    write_entry,
)
from timbrel.errors import UserError

COMMAND = (sys.executable, "-P", "-m", "timbrel.data.decode_process")


def decode(job: Job) -> Sidecar:
    """The entry of `job`, decoded here unless another process made it in the meantime."""
    try:
        present = load_entry(job.data_path)
    except DamagedEntryError:
        present = None
    return present or write_entry(job)


class DecodingProcess:
    """One process that decodes one job after the other."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def decode(self, job: Job) -> Sidecar:
        """The entry of `job`. Raises `UserError` as `write_entry`, and where the process dies."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a decoding process was started without pipes")
        try:
            pickle.dump(job, self._process.stdin)
            self._process.stdin.flush()
            outcome = pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError) as error:
            raise UserError(
                f"{str(job.source)!r}: the decoding process ended on it; start again, and if it "
                f"happens again convert the file to WAV or remove it"
            ) from error
        if isinstance(outcome, UserError):
            raise outcome
        return outcome

    def close(self) -> None:
        """End the process, after the job it is at."""
        try:
            self._process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def serve() -> None:
    """Decode what comes in, until the input ends."""
    while True:
        try:
            job = pickle.load(sys.stdin.buffer)
        except (EOFError, KeyboardInterrupt):
            return
        outcome: Sidecar | UserError
        try:
            outcome = decode(job)
        except UserError as error:
            outcome = error
        except KeyboardInterrupt:
            return
        pickle.dump(outcome, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
