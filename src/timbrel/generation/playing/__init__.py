"""Notes: sounds of a model at given times, pitches and levels, and songs of them."""
