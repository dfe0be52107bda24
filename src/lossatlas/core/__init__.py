"""Foundations with no knowledge of networks or landscapes: names, records, files, errors, randomness."""
