"""The claims of the paper as tests: verdicts, and how sure they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lossatlas.analysis.claims import ALPHA
from lossatlas.report.blocks import Block, Group, Groups, Notice, Prose, Section
from lossatlas.report.wording import listing, network_name, number
from lossatlas.study.results import StudyResults

__all__ = ["build"]

_Record = dict[str, Any]

_VERDICTS = {
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "undecided at this size": ("is undecided at this size", "are undecided at this size"),
    "no difference": ("compares equal numbers", "compare equal numbers"),
    "not measured": ("was not measured", "were not measured"),
}
_SHORT = {"undecided at this size": "undecided", "no difference": "equal numbers"}
_HEADINGS = ("Network", "Where", "Verdict", "Effect", "95 % interval", "p", "p, Holm", "Paper", "Agrees", "Note")
_UNMEASURED = "not measured"
_DECIDED = ("holds", "does not hold")


def build(results: StudyResults) -> Section | None:
    """Count the verdicts, name where they contradict the paper, and fold the tests of each claim."""
    table = results.tables.get("claims")
    if table is None or not table.rows:
        return None
    records = table.records()
    blocks: list[Block] = [Prose(_counts(records))]
    against = [record for record in records if record["agrees"] == "no"]
    if against:
        tests = "1 test contradicts" if len(against) == 1 else f"{len(against)} tests contradict"
        blocks.append(Notice(f"{tests} the paper:", tuple(map(_contradiction, against))))
    blocks.append(Groups(table, _HEADINGS, _groups(records)))
    return Section("claims", "Claims of the paper, tested", tuple(blocks))


def _counts(records: Sequence[_Record]) -> str:
    verdicts = Counter(record["verdict"] for record in records)
    names = dict.fromkeys(record["claim"] for record in records)
    said = [f"{verdicts[name]} {words[verdicts[name] > 1]}" for name, words in _VERDICTS.items() if verdicts[name]]
    text = f"{len(names)} claims give {len(records)} tests: {listing(said)}."
    agreeing = Counter(record["agrees"] for record in records)
    decided = agreeing["yes"] + agreeing["no"]
    if decided:
        text += f" {decided} of what the paper says, as it says it, are decided here; {agreeing['yes']} of them agree."
    firm = sum(_firm(record) for record in records)
    told = sum(record["verdict"] in _DECIDED for record in records)
    if told:
        text += f" {firm} of the {told} verdicts also stand among so many tests (Holm's p below 5 %)."
    return text


def _firm(record: _Record) -> bool:
    """Whether a verdict survives the correction for the number of tests."""
    adjusted = record["adjusted_p_value"]
    return record["verdict"] in _DECIDED and adjusted is not None and adjusted < ALPHA


def _contradiction(record: _Record) -> str:
    ours, theirs = _VERDICTS[record["verdict"]][0], _VERDICTS[record["paper"]][0]
    place = f"{network_name(record['network'])}, {record['where']}"
    return f"{place}: “{record['statement']}” {ours}, in the paper it {theirs}"


def _groups(records: Sequence[_Record]) -> tuple[Group, ...]:
    found = []
    for name in dict.fromkeys(record["claim"] for record in records):
        own = [record for record in records if record["claim"] == name]
        rows = tuple(_cells(record) for record in own if record["verdict"] != _UNMEASURED)
        absent = tuple(_absent(record) for record in own if record["verdict"] == _UNMEASURED)
        found.append(Group(own[0]["statement"], _remark(own), _note(own), rows, absent))
    return tuple(found)


def _note(records: Sequence[_Record]) -> str:
    """What the paper says, and which range the claim puts which effect in."""
    says = dict.fromkeys(record["paper_says"] for record in records if record["paper_says"])
    ranges = dict.fromkeys(f"{record['effect_name']} {_claimed(record)}" for record in records)
    paper = f"The paper: {'; '.join(says)}." if says else "The paper does not say."
    return f"{paper} Claimed here: {' or '.join(ranges)}."


def _absent(record: _Record) -> str:
    return f"{network_name(record['network'])}, {record['where']}: {record['note']}"


def _remark(records: Sequence[_Record]) -> str:
    """The verdicts network by network, with counts where there are several tests."""
    parts = []
    for network in dict.fromkeys(record["network"] for record in records):
        verdicts = Counter(record["verdict"] for record in records if record["network"] == network)
        several = sum(verdicts.values()) > 1
        words = [f"{_SHORT.get(v, v)}{f' {verdicts[v]}×' if several else ''}" for v in _VERDICTS if verdicts[v]]
        parts.append(f"{network_name(network)}: {', '.join(words)}")
    return "; ".join(parts)


def _cells(record: _Record) -> tuple[str, ...]:
    measured = record["low"] is not None or record["high"] is not None
    return (
        network_name(record["network"]),
        record["where"],
        record["verdict"],
        "–" if record["effect"] is None else number(record["effect"], 3),
        f"{_end(record['low'])} to {_end(record['high'])}" if measured else "–",
        *("–" if record[name] is None else number(record[name], 2) for name in ("p_value", "adjusted_p_value")),
        record["paper"] or "silent",
        record["agrees"] or "–",
        record["note"] or "",
    )


def _end(value: float | None) -> str:
    return "no limit" if value is None else number(value, 3)


def _claimed(record: _Record) -> str:
    low, high = record["claimed_low"], record["claimed_high"]
    if low is None or (low == 0 and high is not None and "ratio" in record["effect_name"]):
        return "–" if high is None else f"below {number(high, 3)}"
    return f"above {number(low, 3)}" if high is None else f"{number(low, 3)} to {number(high, 3)}"
