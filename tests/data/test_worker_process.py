"""A function in processes: outcomes and errors come back; a dead process is told and replaced."""

import sys
import time

import pytest

from timbrel.data import worker_process
from timbrel.data.worker_process import (
    SINGLE_THREADED,
    EndedError,
    WorkerProcess,
    in_parallel,
    module_command,
)
from timbrel.errors import UserError

SERVED = """
import os, time
from timbrel.data.worker_process import serve
from timbrel.errors import UserError

def answer(job):
    if job == "die":
        os._exit(1)
    if job == "sleep":
        time.sleep(60)
    if job == "chatter":
        os.write(1, b"a decoder's note")
        print("another")
    if job == "refuse":
        raise UserError("refuse: no")
    return os.getpid() if job == "pid" else os.environ.get(job, "")

serve(answer)
"""


def worker() -> WorkerProcess[str, object]:
    return WorkerProcess(
        (sys.executable, "-P", "-c", SERVED),
        ended=lambda job: f"{job}: ended on it",
        environment=SINGLE_THREADED | {"TIMBREL_TEST": "given"},
    )


def test_one_process_answers_job_after_job_and_outlives_an_error():
    process = worker()
    pid = process.call("pid")
    with pytest.raises(UserError, match=r"^refuse: no$"):
        process.call("refuse")
    assert process.call("pid") == pid
    assert [process.call(name) for name in ("TIMBREL_TEST", "OMP_NUM_THREADS")] == ["given", "1"]
    process.close()
    process.close()


def test_a_death_is_told_with_the_job_and_the_next_gets_a_fresh_process():
    process = worker()
    pid = process.call("pid")
    with pytest.raises(UserError, match=r"^die: ended on it$"):
        process.call("die")
    fresh = process.call("pid")
    assert isinstance(fresh, int)
    assert fresh != pid
    process.close()


def test_what_a_decoder_writes_to_standard_output_is_no_answer(capfd):
    process = worker()
    assert process.call("chatter") == ""
    assert process.call("TIMBREL_TEST") == "given"
    process.close()
    assert capfd.readouterr().out == ""


def test_a_process_that_does_not_start_is_no_process_that_ended_on_its_job():
    process: WorkerProcess[str, object] = WorkerProcess(
        (sys.executable, "-c", ""), ended=lambda job: f"{job}: ended on it"
    )
    with pytest.raises(UserError, match=r"^pid: ended on it: it did not start \(") as raised:
        process.call("pid")
    assert not isinstance(raised.value, EndedError)


def test_a_process_that_never_says_that_it_is_ready_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(worker_process, "START_S", 0.5)
    process: WorkerProcess[str, object] = WorkerProcess(
        (sys.executable, "-S", "-c", "import time; time.sleep(60)"),
        ended=lambda job: f"{job}: ended on it",
    )
    began_s = time.monotonic()
    with pytest.raises(UserError, match=r"^pid: ended on it: it did not start within 0\.5 s \("):
        process.call("pid")
    assert time.monotonic() - began_s < 30
    assert process._process is None


def test_a_process_that_is_ready_is_left_alone_after_that(monkeypatch):
    monkeypatch.setattr(worker_process, "START_S", 5.0)
    process = worker()
    pid = process.call("pid")
    time.sleep(5.5)
    assert process.call("pid") == pid
    process.close()


def test_a_stopped_process_starts_no_other():
    process = worker()
    process.stop()
    with pytest.raises(UserError):
        process.call("sleep")


def test_jobs_in_parallel_each_have_their_outcome_or_error():
    jobs = ["TIMBREL_TEST", "refuse", "die", "MKL_NUM_THREADS", "unset"]
    outcomes = {
        job: str(outcome) if isinstance(outcome, UserError) else outcome
        for job, outcome in in_parallel(jobs, worker, 2)
    }
    assert outcomes == {
        "TIMBREL_TEST": "given",
        "refuse": "refuse: no",
        "die": "die: ended on it",
        "MKL_NUM_THREADS": "1",
        "unset": "",
    }
    assert list(in_parallel([], worker, 2)) == []


def test_processes_end_when_the_caller_stops():
    started = []

    def counted():
        started.append(worker())
        return started[-1]

    outcomes = in_parallel(["pid"] * 50, counted, 3)
    next(outcomes)
    outcomes.close()
    assert len(started) == 3
    assert all(process._process is None for process in started)


def test_a_caller_that_stops_does_not_wait_for_the_job_at_work(capfd):
    outcomes = in_parallel(["pid", "sleep", "sleep"], worker, 2)
    next(outcomes)
    began_s = time.monotonic()
    outcomes.close()
    assert time.monotonic() - began_s < 5
    assert capfd.readouterr().err == ""


def test_a_module_runs_by_this_python_and_not_from_the_folder_of_the_script():
    assert module_command("a.b") == (sys.executable, "-P", "-m", "a.b")
