"""Checks against published numbers on data that tests do not need; each writes a JSON file beside itself."""
