"""From the top of a path to the pass: stationary points, their index, and the way down both sides."""

from lossatlas.paths.saddle.descent import Descent, steepest_descent
from lossatlas.paths.saddle.finish import finish_saddle
from lossatlas.paths.saddle.minimum_mode import follow_minimum_mode

__all__ = ["Descent", "finish_saddle", "follow_minimum_mode", "steepest_descent"]
