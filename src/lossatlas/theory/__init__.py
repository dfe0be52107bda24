"""Landscapes understood exactly: prediction beside simulation of the same system."""
