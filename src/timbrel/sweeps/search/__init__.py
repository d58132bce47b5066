"""Searches: a space, a study that remembers its trials, workers that share it, and its page."""
