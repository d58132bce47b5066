"""Probing in a process of its own: a decoder's crash costs one file.

Run as `python -m timbrel.data.scan.probe_process`, which reads paths from its input and writes
measurements to its output.
"""

from collections.abc import Sequence

from timbrel import streams
from timbrel.data.scan.probe import Measurement, measure
from timbrel.data.worker_process import SINGLE_THREADED, WorkerProcess, module_command, serve

COMMAND = module_command("timbrel.data.scan.probe_process")


def probing_process(command: Sequence[str] = COMMAND) -> WorkerProcess[str, Measurement]:
    """One process that does `probe.measure`."""
    return WorkerProcess(
        command,
        ended=lambda path: f"{path!r}: the process that reads it ended on it",
        environment=SINGLE_THREADED,
    )


if __name__ == "__main__":
    streams.to_nowhere(2)  # where decoders write notes on what the measurement tells
    serve(measure)
