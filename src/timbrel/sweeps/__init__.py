"""Ablations: a plan of cells and seeds, runs with signatures, statistics, tables and pages."""
