"""The summary: what the tables say, in sentences that stay true whichever way the numbers fall."""

from __future__ import annotations

import math
from collections.abc import Mapping

from scipy import stats

from lossatlas.core.table import Table
from lossatlas.report.blocks import Block, Notice, Prose, Section
from lossatlas.report.records import by_network, means
from lossatlas.report.wording import duration, factor, listing, network_name, number, optimizer_name, spelled
from lossatlas.study.results import StudyResults

__all__ = ["build", "compare", "margins"]

# Means that differ by less than this factor are called close: a few replicas cannot tell them apart by eye.
_CLOSE = 1.2


def build(results: StudyResults) -> Section:
    """Say in a few sentences what was done and what came out."""
    blocks: list[Block] = []
    if results.missing:
        count = len(results.missing)
        pieces = "1 piece is" if count == 1 else f"{count} pieces are"
        blocks.append(
            Notice(
                f"This study is not complete: {pieces} missing. What follows covers what has been computed; "
                "the same command again computes the rest.",
                results.missing,
            )
        )
    sentences = [_done(results), *_outcome(results.tables), *_budget(results)]
    return Section("summary", "Summary", (*blocks, *(Prose(sentence) for sentence in sentences)))


def _done(results: StudyResults) -> str:
    if not results.experiments:
        return "No network has been trained yet."
    networks = [network_name(name) for name in by_network(results)]
    optimizers = [optimizer_name(name) for name in dict.fromkeys(e.optimizer for e in results.experiments)]
    runs = sum(len(e.ensemble.replicas) for e in results.experiments)
    kept = sum(len(e.ensemble) for e in results.experiments)
    diverged = sum(len(e.ensemble.diverged) for e in results.experiments)
    data = results.provenance.get("data")
    on = ""
    if isinstance(data, Mapping) and "name" in data:
        on = f" on {data['name']}"
        if isinstance(data.get("train"), int) and isinstance(data.get("test"), int):
            on += f" ({data['train']:,} training and {data['test']:,} test examples)"
    count = f"{spelled(len(networks)).capitalize()} networks ({listing(networks)}) were"
    text = f"{f'{networks[0]} was' if len(networks) == 1 else count} trained by {listing(optimizers)}{on}"
    if runs:
        text += f": {runs} runs, all kept" if kept == runs else f": {runs} runs, of which {kept} are kept"
        text += f" and {diverged} diverged" if diverged else ""
    seconds = results.provenance.get("seconds")
    if isinstance(seconds, int | float) and seconds > 0:
        text += f". The computations took {duration(seconds)}, added up"
    return text + "."


def _outcome(tables: Mapping[str, Table]) -> list[str]:
    losses, barriers = tables.get("table1"), tables.get("barriers")
    sentences = [
        compare("mean training loss", means(losses, "train_loss_mean"), margins(losses, "train_loss", "runs")),
        compare("mean early-stopped test loss", means(losses, "test_loss_mean"), margins(losses, "test_loss", "runs")),
        _accuracies(means(losses, "test_accuracy_mean")),
        compare(
            "mean barrier on straight lines between training-set minima",
            means(barriers, "barrier_mean", weight_set="train", method="linear"),
            margins(barriers, "barrier", "minima", weight_set="train", method="linear"),
        ),
    ]
    return [sentence for sentence in sentences if sentence]


def _budget(results: StudyResults) -> list[str]:
    """How many runs stopped because their time was up: their losses say as much of the budget as of the optimizer."""
    replicas = [replica for e in results.experiments for replica in e.ensemble.replicas]
    cut = sum(replica.status == "completed" for replica in replicas)
    if not cut:
        return []
    which = "All runs" if cut == len(replicas) else f"{cut} of the {len(replicas)} runs"
    return [
        f"{which} ended because the iterations or epochs they were given were used up, not because there was "
        "nothing left to gain: longer runs may rank them differently. With more of them in the configuration, the same "
        "command goes on where these ended."
    ]


def margins(table: Table | None, quantity: str, units: str, **wanted: str) -> dict[str, dict[str, float]]:
    """Half the 95 % interval of each mean, from its ends, or t s.e. with one degree of freedom less than units.

    Args:
        table: with columns of ends, ``{quantity}_low`` and ``{quantity}_high``, or of standard errors,
            ``{quantity}_error``.
        quantity: of which.
        units: column with the number of independent runs or minima.
        wanted: as of :func:`~lossatlas.report.records.means`.

    Returns:
        Of those that have one.
    """
    low, high, errors = (means(table, f"{quantity}_{column}", **wanted) for column in ("low", "high", "error"))
    counts = means(table, units, **wanted)
    found: dict[str, dict[str, float]] = {}
    for network, row in errors.items():
        for optimizer, error in row.items():
            if {optimizer} <= set(low.get(network, {})) & set(high.get(network, {})):
                half = (high[network][optimizer] - low[network][optimizer]) / 2
            elif counts.get(network, {}).get(optimizer, 0) > 1:
                half = error * float(stats.t.ppf(0.975, counts[network][optimizer] - 1))
            else:
                continue
            found.setdefault(network, {})[optimizer] = half
    return found


def compare(
    noun: str, values: Mapping[str, Mapping[str, float]], margin: Mapping[str, Mapping[str, float]] | None = None
) -> str | None:
    """Say which optimizer has the lowest value on which networks, and by how much.

    Args:
        noun: what is compared, such as ``"mean training loss"``.
        values: ``{network: {optimizer: value}}``.
        margin: half the interval of each, as far as it is known. A best that is not further from the next than both
            margins together, √(m₁² + m₂²), wins nothing.

    Returns:
        A sentence, or None where there are no values.

    Example:
        >>> compare("mean loss", {"fcp": {"sgd": 0.5, "adam": 0.25}, "lstm": {"sgd": 1.0, "adam": 1.1}})
        'Adam has the lower mean loss on FCP (0.25 against 0.50 by SGD), by a factor of 2.0; the optimizers
        are within a factor of 1.2 of each other on LSTM (1.0 by SGD and 1.1 by Adam).'
    """
    wins: dict[str, list[str]] = {}
    factors: dict[str, list[float]] = {}
    close: list[str] = []
    alone: list[str] = []
    unsure: list[str] = []
    many = any(len(row) > 2 for row in values.values())
    for network, row in values.items():
        ranked = sorted(row.items(), key=lambda item: item[1])
        if not ranked:
            continue
        (best, low), (_, top) = ranked[0], ranked[-1]
        if len(ranked) == 1:
            alone.append(f"{network_name(network)} {number(low)} by {optimizer_name(best)}")
            continue
        if top == low or (low > 0 and top / low < _CLOSE):
            shown = listing([f"{number(value)} by {optimizer_name(name)}" for name, value in ranked])
            close.append(f"{network_name(network)} ({shown})")
            continue
        second, other = ranked[1]
        known = (margin or {}).get(network, {})
        if {best, second} <= set(known) and other - low <= math.hypot(known[best], known[second]):
            shown = listing([f"{number(value)} by {optimizer_name(name)}" for name, value in ranked])
            unsure.append(f"{network_name(network)} ({shown})")
            continue
        wins.setdefault(best, []).append(
            f"{network_name(network)} ({number(low)} against {number(other)} by {optimizer_name(second)})"
        )
        if low > 0:
            factors.setdefault(best, []).append(other / low)
    parts = [_win(noun, best, on, factors.get(best, []), many=many) for best, on in wins.items()]
    if close:
        subject = "" if parts else f" in {noun}"
        parts.append(f"the optimizers are within a factor of {_CLOSE} of each other{subject} on {listing(close)}")
    if unsure:
        subject = "" if parts else f" in {noun}"
        parts.append(f"so few runs do not decide the difference{subject} on {listing(unsure)}")
    if alone:
        parts.append(f"{noun}{' with one optimizer only' if parts else ''}: {listing(alone)}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else None


def _win(noun: str, best: str, on: list[str], factors: list[float], *, many: bool) -> str:
    text = f"{optimizer_name(best)} has the {'lowest' if many else 'lower'} {noun} on {listing(on)}"
    if len(factors) < len(on):
        # Nothing is a multiple of zero, and a factor for some networks would be read as one for all.
        return text
    shown = list(dict.fromkeys(factor(value) for value in sorted(factors)))
    if len(shown) == 1:
        text += f", by a factor of {shown[0]}"
    elif shown:
        text += f", by factors between {shown[0]} and {shown[-1]}"
    return text


def _accuracies(values: Mapping[str, Mapping[str, float]]) -> str | None:
    entries = [(value, network, optimizer) for network, row in values.items() for optimizer, value in row.items()]
    if not entries:
        return None
    (low, *lowest), (high, *highest) = min(entries), max(entries)

    def where(place: list[str]) -> str:
        return f"{network_name(place[0])} by {optimizer_name(place[1])}"

    first, last = f"{100 * low:.1f} %", f"{100 * high:.1f} %"
    if len(entries) == 1:
        return f"The mean test accuracy is {first} ({where(lowest)})."
    if first == last:
        return f"All mean test accuracies are {first}."
    return f"Mean test accuracies lie between {first} ({where(lowest)}) and {last} ({where(highest)})."
