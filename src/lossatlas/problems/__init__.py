"""Problems: data + model + loss, named or the user's own."""

from __future__ import annotations

from lossatlas.problems.named import Blueprint, get, problems
from lossatlas.problems.problem import Problem

__all__ = ["Blueprint", "Problem", "get", "problems"]
