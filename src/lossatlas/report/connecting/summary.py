"""The answer in words: same basin or not, how high the barrier is, how sure that is, may they be averaged."""

from __future__ import annotations

import math

from lossatlas.core.path import Path, StationaryPoint
from lossatlas.report.blocks import Block, Notice, Prose, Section
from lossatlas.report.connecting.words import pair_name
from lossatlas.report.wording import listing, number
from lossatlas.study.connection import Connection, Route
from lossatlas.study.connection_tables import path_words

__all__ = ["build", "cautions", "verdicts"]

# A rise of less than this fraction of what the straight line rises is no barrier, but rounding.
_FLAT = 1e-6


def build(connection: Connection) -> Section:
    """Answer what was asked, and say what a reader should know."""
    blocks: list[Block] = []
    if not connection.complete:
        planned = "" if connection.planned is None else f" of {connection.planned}"
        blocks.append(
            Notice(
                f"This is not complete: {len(connection.routes)}{planned} pairs are connected. The same command again "
                "continues."
            )
        )
    blocks += [Prose(sentence) for sentence in verdicts(connection)]
    warnings = cautions(connection)
    if warnings:
        blocks.append(Notice("What to know before these numbers are used:", warnings))
    return Section("summary", "Summary", tuple(blocks))


def verdicts(connection: Connection) -> tuple[str, ...]:
    """The answer in sentences, for the page and for the terminal."""
    if not connection.routes:
        return ("No path has been computed yet.",)
    if len(connection.labels) == 2:
        return _two(connection, connection.routes[0])
    return _many(connection)


def _two(connection: Connection, route: Route) -> tuple[str, ...]:
    a, b = connection.labels[route.first], connection.labels[route.second]
    best = route.best
    flat = best.barrier <= _limit(route)
    sentences = [f"{_verdict(route, best, a, b)} {_straight(route, best)}".strip(), _sure(best, flat)]
    aligned = route.best_aligned
    if aligned is not None and route.alignment is not None:
        sentences.append(
            f"With the hidden units of {b} in the order of those of {a}, which changes no output and takes their "
            f"distance from {number(route.alignment.distance_before, 3)} to "
            f"{number(route.alignment.distance_after, 3)}: {_rise(aligned, a, b)}."
        )
    if route.averaging is not None:
        sentences.append(route.averaging.sentence)
    return tuple(sentences)


def _rounding(route: Route) -> float:
    straight = route.paths["straight"].barrier
    return _FLAT * straight if math.isfinite(straight) and straight > 0 else 0.0


def _limit(route: Route) -> float:
    """The barrier up to which two points count as one basin."""
    return _rounding(route) if route.averaging is None else max(_rounding(route), route.averaging.tolerance)


def _verdict(route: Route, best: Path, a: str, b: str) -> str:
    if not math.isfinite(best.height):
        return f"No path with finite values was found between {a} and {b}."
    if best.barrier <= _limit(route):
        rise = f" by more than {number(best.barrier, 2)}, less than the {number(_limit(route), 2)} that count"
        above = "" if best.barrier <= _rounding(route) else rise
        return (
            f"{a} and {b} lie in one basin: {_article(route, best)} between them does not rise above the higher "
            f"end{above}."
        )
    return f"{a} and {b} lie in different basins as far as is known: {_rise(best, a, b)}."


def _article(route: Route, path: Path) -> str:
    name = next(name for name, own in route.paths.items() if own is path)
    words = path_words(name, path)
    return f"the {words}" if words.startswith("straight") else f"the {words} found"


def _rise(path: Path, a: str, b: str) -> str:
    if not math.isfinite(path.height):
        return "no path with finite values was found"
    return (
        f"the lowest path found rises to {number(path.height, 4)}, {number(path.forward_barrier, 3)} above {a} and "
        f"{number(path.reverse_barrier, 3)} above {b}"
    )


def _straight(route: Route, best: Path) -> str:
    straight = route.paths["straight"]
    if best is straight or not math.isfinite(straight.height):
        return ""
    if straight.height - best.height <= _FLAT * max(straight.forward_barrier, straight.reverse_barrier):
        return "The straight line rises no higher."
    return f"The straight line rises to {number(straight.height, 4)}."


def _sure(path: Path, flat: bool) -> str:
    if not math.isfinite(path.height):
        return f"How sure: {path.message}."
    search = {"converged": "the search converged", "not optimized": "nothing was optimized"}.get(
        path.status, f"the search did not converge ({path.message})"
    )
    height = (
        "the height is that of the whole curve, refined between its samples"
        if path.refined
        else "the height is that of the samples, and the curve may rise higher between them"
    )
    bound = (
        "No path between them can be lower than the higher end."
        if flat
        else "The true pass cannot be higher; a lower path may exist."
    )
    parts = [f"How sure: {search}, and {height}. {bound}"]
    if path.saddle is not None:
        parts.append(_saddle(path.saddle))
    return " ".join(parts)


def _saddle(saddle: StationaryPoint) -> str:
    if not saddle.converged:
        return "Minimum-mode following from its highest point did not converge."
    index = "unknown index" if saddle.index is None else f"index {saddle.index}"
    text = (
        f"From its highest point, minimum-mode following leads to a stationary point of {index} at "
        f"{number(saddle.value, 8)}, where the gradient is {number(saddle.gradient_norm, 1)}"
    )
    if saddle.connects is None:
        return f"{text}."
    if saddle.connects:
        return f"{text}; steepest descent from there reaches both ends."
    return f"{text}; steepest descent from there does not reach both ends, so other minima lie on the way."


def _many(connection: Connection) -> tuple[str, ...]:
    n, tree = len(connection.labels), connection.tree
    pairs = len(connection.routes)
    word = connection.quantity.lower()
    deepest = connection.labels[int(connection.energies.argmin())]
    sentences = [
        f"{n} points, {pairs} of {n * (n - 1) // 2} pairs connected. The deepest is {deepest}, with {word} "
        f"{number(float(connection.energies.min()), 4)}."
    ]
    if tree.connected:
        top = tree.merges[-1]
        i, j = (connection.labels[k] for k in top.pair)
        sentences.append(
            f"All are joined at {number(top.height, 4)}, the pass between {i} and {j}; the lowest pass joins "
            f"{listing([connection.labels[k] for k in tree.merges[0].pair])} at "
            f"{number(tree.merges[0].height, 4)}. Paths are upper bounds: the true passes cannot be higher."
        )
    else:
        sentences.append(f"They fall into {n - len(tree.merges)} sets that no known path joins.")
    if connection.aligned and connection.aligned_tree.connected:
        height = connection.aligned_tree.merges[-1].height
        sentences.append(
            f"With hidden units reordered, which changes no network, all are joined at {number(height, 4)}."
        )
    statuses = [route.best.status for route in connection.routes]
    unsure = sum(status not in {"converged", "not optimized"} for status in statuses)
    if unsure:
        sentences.append(f"How sure: {unsure} of {pairs} searches did not converge; their heights may still fall.")
    answers = [route.averaging.verdict for route in connection.routes if route.averaging is not None]
    if answers:
        counts = {verdict: answers.count(verdict) for verdict in dict.fromkeys(answers)}
        words = {"yes": "may be averaged as they are", "no": "should not be averaged"}
        parts = [f"{n} {words.get(verdict, f'may be averaged {verdict}')}" for verdict, n in counts.items()]
        sentences.append(f"Of {len(answers)} pairs of networks, {listing(parts)}.")
    return tuple(sentences)


def cautions(connection: Connection) -> tuple[str, ...]:
    """What to know before the numbers are used, in sentences, for the page and for the terminal."""
    found = list(connection.notes)
    told: set[str] = set()
    for route in connection.routes:
        for path in route.paths.values():
            if path.status == "not finite":
                found.append(f"{pair_name(connection, route)}, {path.method}: {path.message}.")
            for warning in path.warnings:
                # An end is one point of many paths, and each says so in its own numbers.
                ends = {"the start": connection.labels[route.first], "the end": connection.labels[route.second]}
                head, is_end, rest = warning.partition(" is not a minimum")
                label = ends.get(head) if is_end else None
                if label is None:
                    found.append(f"{pair_name(connection, route)}, {path.method}: {warning}.")
                elif label not in told:
                    told.add(label)
                    found.append(f"{label}{is_end}{rest}.")
    return tuple(dict.fromkeys(found))
