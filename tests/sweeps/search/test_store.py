"""Storages and samplers by address and section, and what is told where one is missing."""

import re
import sys

import numpy as np
import optuna
import pytest
import yaml

from sweeps.search.synthetic import goals
from timbrel.config.options import conf_folder
from timbrel.errors import UserError
from timbrel.sweeps.search.note import Ending
from timbrel.sweeps.search.search import search
from timbrel.sweeps.search.space import Between, Draw, Space
from timbrel.sweeps.search.store import join_study, made, open_storage


@pytest.mark.parametrize(
    ("kind", "module", "package"),
    [
        ("postgresql", "psycopg", "timbrel[postgresql]"),
        ("postgresql+psycopg2", "psycopg2", "psycopg2-binary"),
        ("mysql+pymysql", "pymysql", "pymysql"),
    ],
)
def test_a_missing_driver_is_named_and_no_password(kind, module, package, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    told = (
        f"hydra.sweeper.storage={kind}://ann:***@host/trials: needs the module {module}, which is "
        f"not installed: pip install '{package}'"
    )
    with pytest.raises(UserError, match=f"^{re.escape(told)}$"):
        open_storage(f"{kind}://ann:marlin@host/trials")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycog://ann:marlin@host/trials",
        "postgresql://ann:mar@marlin@host:port/trials",
        "postgresql://host:port/trials?password=marlin",
        "postgresql://ann:marlin@/trials?host=/no/such/folder",
    ],
)
def test_an_address_that_leads_nowhere_is_told_without_its_password(address: str) -> None:
    if "psycog" not in address:
        pytest.importorskip("psycopg")
    with pytest.raises(UserError, match=r"hydra.sweeper.storage=\S+: cannot be opened \(") as told:
        open_storage(address)
    assert "mar" not in str(told.value)
    assert "***" in str(told.value)


def test_cmaes_draws_ever_nearer_to_the_best_point() -> None:
    """Of the plane: in the last 20 of 90 trials six times as near as in the first 20."""
    pytest.importorskip("cmaes")
    section = yaml.safe_load((conf_folder() / "hydra/sweeper/sampler/cmaes.yaml").read_text())
    sampler = made(section, "hydra.sweeper.sampler")
    plane = Space(tuple(Draw(key, Between(-1.0, 1.0)) for key in ("x", "y")))

    def distance(batch):
        x, y = (float(batch[0].overrides[key]) for key in ("x", "y"))
        return [Ending({"validation/loss": float(np.hypot(x - 0.3, y + 0.6))})]

    storage = optuna.storages.InMemoryStorage()
    study, _ = join_study(storage, "s", ["minimize"], sampler=sampler)
    search(study, goals(90, space=plane), distance, lambda line: None)
    values = [trial.value for trial in study.trials]
    assert np.median(values[:20]) > 6 * np.median(values[-20:])
