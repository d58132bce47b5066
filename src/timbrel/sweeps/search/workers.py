"""Who works on a trial, whether it is still alive, and what becomes of a dead worker's trials."""

import os
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import optuna
import psutil
from optuna.trial import FrozenTrial, TrialState

from timbrel.sweeps.search.note import DEFAULTS

WORKER = "worker"
REASON = "reason"
RELEASED = "released"
"""Set on a failed trial that does not count: to the sign of the worker that queued its parameters
again, or to True where they were not."""
_TRIES = "tries"
_AGAIN_OF = "again_of"
"""Set on a queued trial: the number of the released one whose parameters it has."""
_MOST_TRIES = 3
_SIGN_EVERY_S = 60.0


def sign_of(now_s: float | None = None) -> dict[str, Any]:
    """This process, as other workers recognise it, with the time."""
    return {
        "place": _place(),
        "pid": os.getpid(),
        "born": round(psutil.Process().create_time(), 2),
        "seen": round(time.time() if now_s is None else now_s, 1),
    }


def is_alive(sign: Mapping[str, Any] | None, *, limit_s: float, now_s: float | None = None) -> bool:
    """Whether the worker of that sign still works.

    On this machine its process tells; of another machine, a sign that is not older than `limit_s`.
    """
    if not sign:
        return False
    if sign["place"] == _place():
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(sign["pid"])
            same = abs(process.create_time() - sign["born"]) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        return False
    return bool((time.time() if now_s is None else now_s) - sign["seen"] <= limit_s)


def _place() -> str:
    """This machine, and on Linux the space of its process numbers: containers share a name."""
    try:
        return f"{socket.gethostname()} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return socket.gethostname()


def release_dead(study: optuna.Study, *, limit_s: float) -> list[int]:
    """Fail the trials of workers that are gone, and queue their parameters; their numbers."""
    _queue_forgotten(study, limit_s=limit_s)
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _young(trial) or is_alive(trial.user_attrs.get(WORKER), limit_s=limit_s):
            continue
        if release(study, trial, "its worker is gone (killed, or its machine is)"):
            found.append(trial.number)
    return found


def _young(trial: FrozenTrial) -> bool:
    """Whether its worker may be about to sign it."""
    if WORKER in trial.user_attrs or trial.datetime_start is None:
        return False
    return time.time() - trial.datetime_start.timestamp() < 10.0


def release(study: optuna.Study, trial: FrozenTrial, reason: str, *, again: bool = True) -> bool:
    """Fail a running trial for a reason that is not its own; `again` queues its parameters.

    What has ended its worker three times may well be the reason: it is then tried no more, and
    counts as failed. False where another worker was quicker.
    """
    storage = study._storage
    tries = trial.user_attrs.get(_TRIES, 1)
    if again and tries >= _MOST_TRIES:
        return _ended(study, trial, f"{reason}, {tries} times")
    with suppress(optuna.exceptions.UpdateFinishedTrialError):
        storage.set_trial_user_attr(trial._trial_id, REASON, reason)
        storage.set_trial_user_attr(trial._trial_id, RELEASED, sign_of() if again else True)
        storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)
        if again:
            _queue(study, trial)
        return True
    return False


def _queue(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue what a released trial was to train; what it was given, where it had drawn nothing."""
    params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    if params:
        kept = {key: value for key, value in trial.user_attrs.items() if key == DEFAULTS}
        tries = trial.user_attrs.get(_TRIES, 1)
        study.enqueue_trial(params, user_attrs={**kept, _TRIES: tries + 1, _AGAIN_OF: trial.number})


def _queue_forgotten(study: optuna.Study, *, limit_s: float) -> None:
    """Queue the parameters of trials whose releaser was killed before it could do so."""
    trials = study.get_trials(deepcopy=False)
    queued = {trial.user_attrs.get(_AGAIN_OF) for trial in trials}
    for trial in trials:
        releaser = trial.user_attrs.get(RELEASED)
        if trial.state != TrialState.FAIL or not isinstance(releaser, dict):
            continue
        if trial.number not in queued and not is_alive(releaser, limit_s=limit_s):
            _queue(study, trial)


def _ended(study: optuna.Study, trial: FrozenTrial, reason: str) -> bool:
    with suppress(optuna.exceptions.UpdateFinishedTrialError):
        study._storage.set_trial_user_attr(trial._trial_id, REASON, reason)
        study._storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)
        return True
    return False


class Signs:
    """Signs the trials that this process works on, again and again, while they run."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._trials: tuple[int, ...] = ()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sign_on, daemon=True)

    def __enter__(self) -> "Signs":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def on(self, trial_ids: Iterable[int]) -> None:
        """Sign these from now on, instead of those before."""
        self._trials = tuple(trial_ids)
        self._sign()

    def _sign_on(self) -> None:
        while not self._end.wait(_SIGN_EVERY_S):
            self._sign()

    def _sign(self) -> None:
        for trial_id in self._trials:
            # One that has ended meanwhile takes no sign; a storage out of reach may come back.
            with suppress(Exception):
                self._study._storage.set_trial_user_attr(trial_id, WORKER, sign_of())
