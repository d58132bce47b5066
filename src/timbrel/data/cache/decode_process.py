"""Decoding in a process of its own: a fault of a decoder does not end training's process.

Run as `python -m timbrel.data.cache.decode_process`, which reads jobs from its input
and writes entries to its output.
"""

from collections.abc import Sequence

from timbrel.data.cache.entry import (
    DamagedEntryError,
    Job,
    Sidecar,
    load_entry,
    write_entry,
)
from timbrel.data.worker_process import WorkerProcess, module_command, serve

COMMAND = module_command("timbrel.data.cache.decode_process")


def decode(job: Job) -> Sidecar:
    """The entry of `job`, decoded here unless another process made it in the meantime.

    Raises UserError as `write_entry`.
    """
    try:
        present = load_entry(job.data_path)
    except DamagedEntryError:
        present = None
    return present or write_entry(job)


def decoding_process(command: Sequence[str] = COMMAND) -> WorkerProcess[Job, Sidecar]:
    """One process that does `decode`."""
    return WorkerProcess(
        command,
        ended=lambda job: (
            f"{str(job.source)!r}: the decoding process ended on it; start again, and if it "
            "happens again convert the file to WAV or leave it out"
        ),
    )


if __name__ == "__main__":
    serve(decode)
