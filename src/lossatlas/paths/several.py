"""Several starts, the lowest path of which is kept, and another finder where one does not converge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from lossatlas.landscape.contract import Landscape
from lossatlas.paths.finder import PathFinder
from lossatlas.paths.scout import Scouted, different, height_of, scout
from lossatlas.paths.search import Ends, Search
from lossatlas.paths.starts import bows

__all__ = ["lowest_of_all", "lowest_of_scouted", "over_kinks"]

_IMAGES = 17  # of a start that is no chain: enough for the lowest modes of any family
# A path is lower than another by this part of what separates them from their higher end, or as high.
_LOWER = 1e-6
# Tops of two relaxed paths nearer than this part of the distance between the ends are one pass.
_ONE_PASS = 0.05


def lowest_of_scouted(landscape: Landscape, ends: Ends, finder: PathFinder, starts: int, seed: int) -> list[Search]:
    """Relax the most promising of several starts of each pair, and any other that then lies below the result.

    Args:
        landscape: where.
        ends: pairs.
        finder: relaxes a start.
        starts: of each pair; 1: the plain one, not looked at first.
        seed: of the starts.

    Returns:
        One search per pair; its message says how many starts there were, at how many different places they
        crossed, and over how many different passes those lead that were relaxed to the end.
    """
    if starts == 1:
        return finder.search(landscape, ends)
    scouted = scout(landscape, ends, starts, seed)
    first = torch.stack([seen.chains[(seen.order or [0])[0]] for seen in scouted])
    found = finder.search(landscape, replace(ends, initial=first))
    pairs = zip(ends.groups(1), scouted, found, strict=True)
    return [_lowest(landscape, one, seen, result, finder) for one, seen, result in pairs]


def _lowest(landscape: Landscape, ends: Ends, seen: Scouted, kept: Search, finder: PathFinder) -> Search:
    spent = _sum(kept.evaluations, {"gradients": seen.gradients, "values": seen.values})
    height, top, values = height_of(landscape, kept.curve)
    spent, tops = _sum(spent, {"values": values}), [top]
    for k in seen.order[1:]:
        if not seen.heights[k] < height - _LOWER * abs(height - min(seen.heights)):
            continue
        other = finder.search(landscape, replace(ends, initial=seen.chains[None, k]))[0]
        reached, top, values = height_of(landscape, other.curve)
        spent = _sum(_sum(spent, other.evaluations), {"values": values})
        tops.append(top)
        if reached < height:
            kept, height = other, reached
    passes = different(torch.stack(tops), _ONE_PASS * float(torch.linalg.vector_norm(ends.end - ends.start)))
    return replace(kept, evaluations=spent, message=f"{_told(seen, len(tops), passes)}: {kept.message}")


def _told(seen: Scouted, relaxed: int, passes: int) -> str:
    starts = len(seen.heights)
    if not seen.order:
        return f"none of {starts} starts is finite"
    places = "at one place" if seen.places == 1 else f"at {seen.places} different places"
    lost = f" and {seen.lost} met places where the loss is not finite" if seen.lost else ""
    ended = "the most promising was relaxed to the end"
    if relaxed > 1:
        over = "one pass" if passes == 1 else f"{passes} different passes"
        ended = f"{relaxed} were relaxed to the end, over {over}"
    return (
        f"the lowest of {starts} starts, which crossed {places} after a short relaxation{lost}; {ended} "
        "(a lower pass may exist)"
    )


def lowest_of_all(landscape: Landscape, ends: Ends, finder: PathFinder, starts: int, seed: int) -> list[Search]:
    """Search every pair from several starts, each to its end, and keep the lowest.

    Args:
        landscape: where.
        ends: pairs.
        finder: what searches.
        starts: of each pair.
        seed: of the starts.
    """
    if starts == 1:
        return finder.search(landscape, ends)
    first = bows(ends, starts, _IMAGES, seed=seed)
    # One start after the other: a network's curves are large.
    found = [finder.search(landscape, ends)]
    found += [finder.search(landscape, replace(ends, initial=first[:, k])) for k in range(1, starts)]
    kept = []
    for own in zip(*found, strict=True):
        looks = [height_of(landscape, one.curve) for one in own]
        spent: dict[str, float] = {}
        for one, look in zip(own, looks, strict=True):
            spent = _sum(_sum(spent, one.evaluations), {"values": look[2]})
        best = min(range(starts), key=lambda k: looks[k][0])
        heights = ", ".join(f"{look[0]:.4g}" for look in looks)
        told = f"the lowest of {starts} starts, which reached {heights} (a lower path may exist)"
        kept.append(replace(own[best], evaluations=spent, message=f"{told}: {own[best].message}"))
    return kept


def over_kinks(
    landscape: Landscape, ends: Ends, found: Sequence[Search], finder: PathFinder, other: PathFinder
) -> list[Search]:
    """Search with another finder where one did not converge, and keep the lower path.

    Args:
        landscape: where.
        ends: pairs.
        found: what ``finder`` found.
        finder: for messages.
        other: searches from where the first one ended.
    """
    results = list(found)
    for i, one in enumerate(ends.groups(1)):
        if results[i].status != "iteration limit":
            continue
        before = results[i]
        result = other.search(landscape, one)[0]
        heights = [height_of(landscape, search.curve) for search in (before, result)]
        spent = _sum(_sum(before.evaluations, result.evaluations), {"values": sum(look[2] for look in heights)})
        better = heights[1][0] < heights[0][0] or (heights[1][0] == heights[0][0] and result.status == "converged")
        why = f"{before.message}; {other.label} took over"
        if better:
            results[i] = replace(result, evaluations=spent, message=f"{why} and found a lower path: {result.message}")
        else:
            results[i] = replace(before, evaluations=spent, message=f"{why} and found none lower")
    return results


def _sum(a: dict[str, float], b: dict[str, float]) -> dict[str, float]:
    return {name: a.get(name, 0) + b.get(name, 0) for name in {**a, **b}}
