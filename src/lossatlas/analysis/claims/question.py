"""Question: what a claim asks of two sets, of one, or of a score; asking it gives the claim."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from lossatlas.analysis.claims.claim import Claim, Range, Verdict, judge
from lossatlas.analysis.claims.inputs import ClaimInputs, Measured, Scored
from lossatlas.analysis.comparison import difference, paired_difference
from lossatlas.analysis.sample import Sample
from lossatlas.analysis.uncertainty import Estimate

__all__ = ["Question"]

_NAMES = {"difference": "difference of means", "ratio": "ratio of geometric means"}


@dataclass(frozen=True)
class Question:
    """A claim before it is tested.

    Args:
        name: of the claim.
        statement: what is claimed.
        claimed: the range of the effect that the claim asserts: of a difference first − second, or a ratio.
        scale: ``"difference"`` of means, or ``"ratio"`` of geometric means (the mean difference of logarithms).
        paper: verdict of the paper by network.
        paper_says: what it says.
    """

    name: str
    statement: str
    claimed: Range
    scale: Literal["difference", "ratio"] = "difference"
    paper: Mapping[str, Verdict] = field(default_factory=dict)
    paper_says: str = ""

    def elsewhere(self) -> Question:
        """The same question where the paper did not ask it."""
        return replace(self, paper={})

    def ask(
        self,
        inputs: ClaimInputs,
        first: Measured,
        second: Measured,
        where: str,
        *,
        paired: bool = False,
        note: str = "",
    ) -> Claim:
        """Compare two sets.

        Args:
            inputs: what was measured.
            first: one set.
            second: the other.
            where: for the reader.
            paired: whether the same runs or minima stand on both sides.
            note: what a reader should know.
        """
        samples = inputs.samples.get(first), inputs.samples.get(second)
        lacking = [str(name) for name, sample in zip((first, second), samples, strict=True) if sample is None]
        if samples[0] is None or samples[1] is None:
            return self.unmeasured(inputs, where, f"needs {'; '.join(lacking)}")
        known = [note, *(inputs.notes.get(name, "") for name in (first, second))]
        said = "; ".join(dict.fromkeys(part for part in known if part))
        evidence = (str(first), str(second))
        return self.ask_samples(inputs, samples[0], samples[1], evidence, where, paired=paired, note=said)

    def ask_samples(
        self,
        inputs: ClaimInputs,
        first: Sample,
        second: Sample,
        evidence: tuple[str, ...],
        where: str,
        *,
        paired: bool = False,
        note: str = "",
    ) -> Claim:
        """Compare two samples that may have been computed from what was measured."""
        one, two = first.finite(), second.finite()
        if one is None or two is None:
            return self.unmeasured(inputs, where, "none of the numbers is finite", evidence)
        lost = len(first.values) + len(second.values) - len(one.values) - len(two.values)
        notes = [note] if note else []
        if lost:
            notes.append(f"left out: {lost} of {len(first.values) + len(second.values)} numbers that are not finite")
        if paired:
            if not one.shares_units(two):
                return self.unmeasured(inputs, where, "the two sides have no run or minimum in common", evidence)
            one, two, left = _matched(one, two)
            if left:
                notes.append(f"left out: {left} numbers that are on one side only")
        ratio = self.scale == "ratio"
        if ratio and min(*one.values, *two.values) <= 0:
            return self.unmeasured(inputs, where, "has numbers that are not positive, so no ratio", evidence)
        compare = paired_difference if paired else difference
        found = compare(one.log10(), two.log10()) if ratio else compare(one, two)
        effect_size = None if math.isnan(found.effect_size) else found.effect_size
        return self._claim(inputs, where, found.difference, effect_size=effect_size, evidence=evidence, notes=notes)

    def ask_score(self, inputs: ClaimInputs, scored: Scored, where: str, effect_name: str) -> Claim:
        """Judge a number that came with its interval.

        Args:
            inputs: what was measured.
            scored: name of the number.
            where: for the reader.
            effect_name: what it is.
        """
        score = inputs.scores.get(scored)
        if score is None:
            return self.unmeasured(inputs, where, f"needs {scored}")
        low, high = self.claimed
        verdict: Verdict = "undecided at this size"
        note = ""
        if score.low is None or score.high is None:
            note = "no interval was given"
        elif score.low > low and score.high < high:
            verdict = "holds"
        elif score.high <= low or score.low >= high:
            verdict = "does not hold"
        doubts = [score.doubt] if score.doubt else []
        if score.most_certain is not None and score.most_certain <= low:
            doubts.append(f"with so few minima even the largest value has an interval from {score.most_certain:.2g}")
        if doubts and math.isfinite(low):
            verdict, note = "undecided at this size", "; ".join(doubts)
        nan = float("nan")
        ends = (nan, nan) if score.low is None or score.high is None else (score.low, score.high)
        effect = Estimate(score.value, nan, *ends, score.units)
        return Claim(
            self.name, self.statement, inputs.network, where, effect_name, effect, self.claimed, verdict,
            paper=self.paper.get(inputs.network), paper_says=self.paper_says, evidence=(str(scored),),
            note="; ".join(part for part in (note, _chance(score.p_value)) if part),
        )  # fmt: skip

    def _claim(
        self,
        inputs: ClaimInputs,
        where: str,
        effect: Estimate,
        *,
        effect_size: float | None,
        evidence: tuple[str, ...],
        notes: list[str],
    ) -> Claim:
        ratio = self.scale == "ratio"
        verdict, p_value = judge(effect, tuple(map(_log10, self.claimed)) if ratio else self.claimed)  # type: ignore[arg-type]
        if p_value is None:
            notes = [*notes, "too few runs, or minima, for an interval"]
        elif verdict == "undecided at this size" and effect.error == 0 and not math.isinf(effect.df):
            verdict, p_value, notes = "no difference", None, [*notes, "the numbers are equal on both sides"]
        elif effect.error == 0 and not math.isinf(effect.df):
            notes = [*notes, "the numbers do not vary"]
        return Claim(
            self.name, self.statement, inputs.network, where, _NAMES[self.scale],
            effect.exponential(10.0) if ratio else effect, self.claimed, verdict, effect_size, p_value,
            paper=self.paper.get(inputs.network), paper_says=self.paper_says, evidence=evidence, note="; ".join(notes),
        )  # fmt: skip

    def unmeasured(self, inputs: ClaimInputs, where: str, why: str, evidence: tuple[str, ...] = ()) -> Claim:
        """The claim where it cannot be tested.

        Args:
            inputs: names the network.
            where: for the reader.
            why: what is lacking, or wrong with what is there.
            evidence: names of what is there.
        """
        return Claim(
            self.name, self.statement, inputs.network, where, _NAMES[self.scale], None, self.claimed, "not measured",
            paper=self.paper.get(inputs.network), paper_says=self.paper_says, evidence=evidence, note=why,
        )  # fmt: skip


def _matched(one: Sample, two: Sample) -> tuple[Sample, Sample, int]:
    """What both sides have, and how much was left out; other pairs of the same minima stay as they are."""
    common = [member for member in one.members if member in set(two.members)]
    most = max(len(one.members), len(two.members))
    # Where pairs were drawn for each side alone, those in common are few, and the minima are what both share.
    if not common or (one.paired and len(common) < most / 2):
        return one, two, 0
    return one.at(common), two.at(common), len(one.values) + len(two.values) - 2 * len(common)


def _log10(limit: float) -> float:
    return limit if math.isinf(limit) else math.log10(limit) if limit > 0 else -math.inf


def _chance(p_value: float | None) -> str:
    return "" if p_value is None else f"p = {p_value:.2g} of the two sets being alike"
