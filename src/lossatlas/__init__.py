"""lossatlas: an atlas of loss landscapes."""

__version__ = "0.1.0"
