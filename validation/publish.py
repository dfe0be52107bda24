"""Write what a study found into a folder that a repository can hold: report, tables, pictures, recipe, provenance.

Weights stay where they are; pictures get a palette, and their SVG and CSV files are left out.
Run: python -m validation.publish STUDY --to docs/results/NAME
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from pathlib import Path

from PIL import Image

from lossatlas import report
from lossatlas.study import Study

COLOURS = 128
_OTHER_FORMATS = re.compile(r" \(\[SVG\]\(figures/[^)]*\), \[CSV\]\(figures/[^)]*\)\)")


def publish(study: Path, target: Path) -> None:
    """Replace what the target holds by the report of a study."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report.write(Study.open(study).results(), folder, markdown=True)
        shutil.rmtree(target, ignore_errors=True)
        (target / "figures").mkdir(parents=True)
        shutil.copytree(folder / "tables", target / "tables")
        for picture in (folder / "figures").glob("*.png"):
            with Image.open(picture) as image:
                image.convert("RGB").quantize(COLOURS).save(target / "figures" / picture.name, optimize=True)
        text = (folder / "report.md").read_text(encoding="utf-8")
        (target / "report.md").write_text(_OTHER_FORMATS.sub("", text), encoding="utf-8")
    for file in ("study.toml", "provenance.json"):
        shutil.copy(study / file, target / file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of a study")
    parser.add_argument("--to", type=Path, required=True, help="folder that is replaced")
    options = parser.parse_args()
    publish(options.study, options.to)


if __name__ == "__main__":
    main()
