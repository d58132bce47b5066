"""Hydra's plugin `hydra/sweeper=optuna`."""
