"""``python -m lossatlas``."""

from __future__ import annotations

from lossatlas.cli.main import main

main()
