"""The answer in words: what kind of point it is, how sharp, how sure that is."""

from __future__ import annotations

import math

from lossatlas.curvature import TraceEstimate
from lossatlas.report.blocks import Block, Notice, Prose, Section
from lossatlas.report.wording import number
from lossatlas.study.spectra import PointSpectrum, Spectra
from lossatlas.study.spectra_tables import check_table, point_table

__all__ = ["build", "cautions", "verdicts"]

# More points than these are told by the table alone.
_TOLD = 6


def build(found: Spectra) -> Section:
    """Answer what was asked, and say what a reader should know."""
    blocks: list[Block] = []
    if not found.complete:
        blocks.append(
            Notice(
                f"This is not complete: {len(found.done)} of {len(found.labels)} points are done. The same command "
                "again continues."
            )
        )
    blocks += [Prose(sentence) for sentence in verdicts(found)]
    warnings = cautions(found)
    if warnings:
        blocks.append(Notice("What to know before these numbers are used:", warnings))
    if found.done:
        blocks += [point_table(found), check_table(found)]
    return Section("summary", "Summary", tuple(blocks))


def verdicts(found: Spectra) -> tuple[str, ...]:
    """The answer in sentences, for the page and for the terminal."""
    if not found.done:
        return ("No point has been measured yet.",)
    told = [_verdict(label, point) for label, point in found.done[:_TOLD]]
    if len(found.done) > _TOLD:
        told.append(f"{len(found.done) - _TOLD} more points are in the table.")
    if found.index is not None and not math.isnan(found.index.correlation):
        word, index = found.quantity.lower(), found.index
        direction = "rises" if index.correlation > 0 else "falls"
        sure = "more than chance" if index.p_value < 0.05 else "which chance explains"
        told.append(
            f"Over the points the index {direction} with the {word}: rank correlation {index.correlation:.2f}, {sure} "
            f"(p = {number(index.p_value, 2)})."
        )
    return tuple(told)


def _verdict(label: str, point: PointSpectrum) -> str:
    kind, trace = point.classification, point.trace
    what = {
        "minimum": "a minimum",
        "saddle": f"a saddle of index {_index(point)}",
        "maximum": "a maximum",
        "plateau": "on a plateau",
        "not critical": f"not a critical point: |g| = {number(float(kind.gradient_norm), 2)} is above "
        f"{kind.gradient:g}, and {_index(point)} {_eigenvalues(point)} negative",
        "not finite": "where the loss or its derivatives are not finite",
    }[kind.kinds[0]]
    return (
        f"{label} is {what}. Its largest eigenvalue is {number(float(kind.largest), 4)}, its smallest "
        f"{number(float(kind.smallest), 3)}, its trace {number(float(trace.value), 3)}"
        f"{_interval(trace)}. {_condition(point)}"
    )


def _interval(trace: TraceEstimate) -> str:
    """The interval in parentheses; nothing where the trace is exact."""
    if not float(trace.error) > 0:
        return ""
    return f" ({trace.confidence:.0%} interval: {number(float(trace.low), 3)} to {number(float(trace.high), 3)})"


def _index(point: PointSpectrum) -> str:
    kind = point.classification
    return f"{int(kind.index)}" if bool(kind.complete) else f"at least {int(kind.index)}"


def _flat(count: int) -> str:
    if count == 0:
        return "no direction is flat"
    return "1 direction is flat" if count == 1 else f"{count} directions are flat"


def _eigenvalues(point: PointSpectrum) -> str:
    return "eigenvalue is" if _index(point) == "1" else "eigenvalues are"


def _condition(point: PointSpectrum) -> str:
    found = point.conditioning
    if bool(found.exact):
        flat = _flat(int(found.null))
        return f"Its condition number without flat directions is {number(float(found.nonzero), 3)}; {flat}."
    condition = float(found.condition)
    least = f"at least {number(condition, 3)}" if math.isfinite(condition) else "without bound"
    if not math.isfinite(float(found.null_high)):
        return "Its condition number is not known."
    low, high = number(float(found.null_low), 3), number(float(found.null_high), 3)
    if not math.isfinite(float(found.null)):
        return (
            f"Its condition number is {least}. Between {low} and {high} directions are flat: flat ones cannot be told "
            "from those of small curvature here."
        )
    about = number(float(found.null), 3)
    return f"Its condition number is {least}; about {about} directions are flat (between {low} and {high})."


def cautions(found: Spectra) -> tuple[str, ...]:
    """What to know before the numbers are used, in sentences, for the page and for the terminal."""
    told = list(found.notes)
    for label, point in found.done:
        pairs, check = point.eigenpairs, point.check
        open_ones = int((~pairs.converged).sum())
        if open_ones:
            told.append(
                f"{label}: {open_ones} of {pairs.converged.numel()} eigenvalues have not settled; their residuals say "
                "how far they may be off."
            )
        if not bool(point.trace.converged):
            told.append(f"{label}: the trace has not reached its tolerance; its interval says how far it may be off.")
        if not bool(check.agrees):
            worst = number(float(check.differences.max()), 2)
            told.append(
                f"{label}: Hessian-vector products by {check.method} differ by {worst} from finite differences. The "
                "loss has a kink nearby, or is not twice differentiable: its curvature is that of the smooth pieces."
            )
        if "central differences" in check.method:
            told.append(f"{label}: products are finite differences, with an error of about 1e-6 of the largest.")
        told += [f"{label}: {note}" for note in point.notes]
    return tuple(dict.fromkeys(told))
