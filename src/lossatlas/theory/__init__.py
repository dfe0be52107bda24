"""Theory: landscapes that are understood exactly, beside runs of the same systems."""
