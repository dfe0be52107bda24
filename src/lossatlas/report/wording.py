"""Words and numbers as a reader wants them: display names, powers of ten, lists."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

__all__ = [
    "cell_name",
    "data_name",
    "duration",
    "factor",
    "listing",
    "network_name",
    "number",
    "optimizer_name",
    "slugs",
    "spelled",
    "typeset",
]

_NETWORKS = {
    "fcp": "FCP",
    "lenet": "LeNet",
    "lstm": "LSTM",
    "autoencoder": "Autoencoder",
    "resnet8": "ResNet-8",
    "resnet20": "ResNet-20",
    "resnet56": "ResNet-56",
    "vgg9": "VGG-9",
    "deep-linear": "deep linear network",
}
_OPTIMIZERS = {
    "lbfgs-gss": "L-BFGS-GSS",
    "lbfgs": "L-BFGS",
    "sgd": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "sam": "SAM",
    "imported": "imported weights",
}
_DATA = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10", "digits": "the scikit-learn digits"}
_WEIGHT_SETS = {"train": "training", "test": "early-stopped"}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def network_name(name: str) -> str:
    """Name of a network for people; a user's own stays as it is."""
    return _NETWORKS.get(name, name)


def optimizer_name(name: str) -> str:
    """Name of an optimizer for people; a user's own stays as it is."""
    return _OPTIMIZERS.get(name, name)


def data_name(name: str) -> str:
    """Name of a data set for people; a user's own stays as it is."""
    return _DATA.get(name, name)


def cell_name(column: str, text: str) -> str:
    """Text of a table's cell for people: names in columns such as ``network`` and ``first`` (of two sets).

    Example:
        >>> cell_name("optimizer", "lbfgs-gss"), cell_name("weight_set", "test"), cell_name("status", "diverged")
        ('L-BFGS-GSS', 'early-stopped', 'diverged')
    """
    if column in {"first", "second"} and " " in text:
        # A set: optimizer and weight set.
        optimizer, _, weight_set = text.rpartition(" ")
        return f"{optimizer_name(optimizer)}, {_WEIGHT_SETS.get(weight_set, weight_set)}"
    names = {"network": _NETWORKS, "optimizer": _OPTIMIZERS, "weight_set": _WEIGHT_SETS}
    return names.get(column, {}).get(text, text)


def typeset(text: str) -> str:
    """Replace the computer's powers of ten by the printer's, and hyphens by minus signs.

    Example:
        >>> typeset("1.25e-08"), typeset("-3.0e+00"), typeset("early-stopped")
        ('1.25×10⁻⁸', '−3.0', 'early-stopped')
    """

    def power(match: re.Match[str]) -> str:
        exponent = int(match[2])
        return match[1] + (f"×10{str(exponent).translate(_SUPERSCRIPT)}" if exponent else "")

    text = re.sub(r"(?<![\w.])-(?=[\d.])", "−", text)
    return re.sub(r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([+-]?\d+)(?!\w)", power, text)


def number(value: float, digits: int = 2) -> str:
    """A number in ``digits`` significant digits.

    Example:
        >>> number(1.26e-8), number(0.0825), number(6.21e-4), number(0.0)
        ('1.3×10⁻⁸', '0.083', '6.2×10⁻⁴', '0')
    """
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "not a number"
    if 1e-2 <= abs(value) < 1e4:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return typeset(f"{value:.{decimals}f}")
    return typeset(f"{value:.{digits - 1}e}")


def factor(ratio: float) -> str:
    """A ratio of at least one, as coarse as a reader remembers it.

    Example:
        >>> factor(1.31), factor(49286.0)
        ('1.3', '4.9×10⁴')
    """
    return number(ratio, 2)


def spelled(count: int) -> str:
    """Small numbers as words.

    Example:
        >>> spelled(4), spelled(40)
        ('four', '40')
    """
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[count] if 0 <= count < len(words) else str(count)


def listing(items: Sequence[str]) -> str:
    """Join names as a sentence does.

    Example:
        >>> listing(["FCP", "LSTM", "LeNet"])
        'FCP, LSTM and LeNet'
    """
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def slugs(names: Sequence[str]) -> dict[str, str]:
    """Names as parts of file names: small letters, digits and single hyphens, no two alike.

    Example:
        >>> slugs(["published", "λ = 10", "_10", ""])
        {'published': 'published', 'λ = 10': '10', '_10': '10-2', '': 'unnamed'}
    """
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unnamed"
        number = 1
        while (slug := plain if number == 1 else f"{plain}-{number}") in found.values():
            number += 1
        found[name] = slug
    return found


def duration(seconds: float) -> str:
    """Time in the two largest units that matter.

    Example:
        >>> duration(12.4), duration(200), duration(7260)
        ('12 s', '3 min 20 s', '2 h 1 min')
    """
    total = round(seconds)
    hours, minutes, rest = total // 3600, total % 3600 // 60, total % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
