"""Landscapes: the contract, analytic energies, any function, and networks."""
