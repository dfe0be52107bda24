"""Side by side with the paper: its numbers beside ours, and what was done differently."""

from __future__ import annotations

from lossatlas.analysis import PUBLISHED
from lossatlas.analysis.side_by_side import CLOSE
from lossatlas.report.blocks import Block, Definitions, Notice, Prose, Section
from lossatlas.report.departures import departures
from lossatlas.report.methods.phrases import count
from lossatlas.report.reductions import reductions
from lossatlas.report.wording import network_name, number, optimizer_name, spelled
from lossatlas.study.results import StudyResults

__all__ = ["build"]


def build(results: StudyResults) -> Section | None:
    """Show the table, count the differences, and tell what this study did otherwise; None where nothing is common."""
    theirs = {number.subject for number in PUBLISHED}
    ours = {experiment.network for experiment in results.experiments} | {each.landscape for each in results.maps}
    if not theirs & ours:
        return None
    blocks: list[Block] = []
    reduced = reductions(results)
    if reduced:
        blocks.append(
            Notice(
                "This study is smaller than the paper's, so its numbers are less sure and need not be the same. "
                "Reduced are:",
                reduced,
            )
        )
    table = results.tables.get("side_by_side")
    if table is not None and table.rows:
        blocks += [Prose(_counts(table.records())), table]
    rows = departures(results)
    if rows:
        blocks.append(Definitions("What was done differently", rows))
    return Section("beside-the-paper", "Side by side with the paper", tuple(blocks))


def _counts(records: list[dict[str, object]]) -> str:
    """How many numbers differ, and which by the largest factor."""
    marked = [record for record in records if record["differs"] == "yes"]
    near, alike, open_ = (sum(record["differs"] == word for record in records) for word in ("close", "no", None))
    text = f"Of {count(len(records), 'number')}, {_some(len(marked), 'differs', 'differ')} from the paper's beyond the "
    text += "spread"
    if near:
        text += f", {_some(near, 'differs', 'differ')} too but by less than a factor of {CLOSE},"
    text += f" and {_some(alike, 'does not', 'do not')}"
    if open_:
        text += f"; of {spelled(open_)}, from a single run, the spread is not known"
    factors = [(max(r, 1 / r), record) for record in marked if isinstance(r := record["ratio"], float) and r > 0]
    if factors:
        most, record = max(factors, key=lambda pair: pair[0])
        text += f". The largest factor is {number(most)} ({_place(record)})"
    return f"{text}."


def _some(number_: int, one: str, many: str) -> str:
    return f"{spelled(number_) if number_ else 'none'} {one if number_ == 1 else many}"


def _place(record: dict[str, object]) -> str:
    owner = f" by {optimizer_name(str(record['optimizer']))}" if record["optimizer"] else ""
    return f"{network_name(str(record['network']))}, {record['quantity']}{owner}"
