"""Citations: the works behind the methods that a study used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lossatlas.analysis.diagnosis import Kind
from lossatlas.report.bibliography import WORKS, Citation
from lossatlas.report.bibliography_analysis import ANALYSIS_WORKS
from lossatlas.report.bibliography_curvature import CURVATURE_WORKS
from lossatlas.report.bibliography_diagnosis import DIAGNOSIS_WORKS
from lossatlas.report.bibliography_paths import PATH_WORKS
from lossatlas.report.bibliography_slices import SLICE_WORKS
from lossatlas.study.connection import Connection
from lossatlas.study.results import StudyResults
from lossatlas.study.slicing import Slicing
from lossatlas.study.spectra import Spectra

__all__ = [
    "Citation",
    "bibtex",
    "citations_for",
    "citations_for_connection",
    "citations_for_diagnosis",
    "citations_for_spectra",
    "citations_for_surface",
]

_BY_OPTIMIZER = {
    "lbfgs-gss": ("nocedal1980", "liu1989", "kiefer1953"),
    "lbfgs": ("nocedal1980", "liu1989"),
    "sgd": ("robbins1951",),
    "adam": ("kingma2015",),
    "adamw": ("loshchilov2019",),
}
_BY_NETWORK = {"lenet": ("lecun1998",), "lstm": ("hochreiter1997",)}
_BY_DATA = {
    "digits": ("alpaydin1998", "pedregosa2011"),
    "mnist": ("lecun1998",),
    "fashion-mnist": ("xiao2017",),
}
_BY_PATH = {
    "linear": ("frankle2020", "entezari2022"),
    "bezier": ("garipov2018",),
    "polychain": ("garipov2018",),
    "neb": ("henkelman2000a", "henkelman2000b"),
    "autoneb": ("draxler2018", "henkelman2000a", "henkelman2000b"),
    "string": ("e2007",),
}
# A study of networks always cites the paper; a connection does where it uses its curves.
_FOURIER = {"fourier": ("yu2026",), "fourier-published": ("yu2026",)}
_BY_KERNEL = dict.fromkeys(("rbf", "poly", "sigmoid"), ("scholkopf1998",))
_BY_TABLE = {
    "claims": ("welch1947", "schuirmann1987", "holm1979"),
    "sharpness": ("wu2000", "meyer2021", "kwon2021"),
}
_BY_PLANE = {
    "filter": ("li2018",),
    "layer": ("li2018",),
    "minima": ("garipov2018",),
    "initialisation": ("goodfellow2015",),
    "eigenvector": ("wu2000",),
    "trajectory": ("li2018", "antognini2018"),
    "refined trajectory": ("ding2023", "li2018", "antognini2018"),
}
_ALIGNMENT = ("ainsworth2023",)
_TREE = ("becker1997", "wales1998")
_JACKKNIFE = ("efron1993",)
_CENTROIDS = ("chen2010", "chung2013")
_SEPARATION = ("mann1947", "newcombe2006", "fisher1936")
_BY_FINDING: Mapping[Kind, tuple[str, ...]] = {
    "exploding gradients": ("pascanu2013",),
    "learning rate too large": ("cohen2021",),
    "saddle": ("dauphin2014",),
    "vanishing gradients": ("glorot2010",),
    "plateau": ("glorot2010",),
    "sharp or overfit minimum": ("keskar2017", "dinh2017", "kwon2021", "li2018"),
}
_ALL = {**WORKS, **PATH_WORKS, **ANALYSIS_WORKS, **CURVATURE_WORKS, **DIAGNOSIS_WORKS, **SLICE_WORKS}


def citations_for(results: StudyResults) -> tuple[Citation, ...]:
    """Works behind the networks, optimizers, data, paths and analyses that a study used.

    Args:
        results: what the study stored; a method without results is not cited.

    Returns:
        Each work once, in the order in which a methods section would name them.
    """
    data = results.provenance.get("data")
    keys: list[str] = ["yu2026"]

    def cite(works: Mapping[str, tuple[str, ...]], used: Iterable[str]) -> None:
        keys.extend(key for name in used for key in works.get(name, ()))

    cite(_BY_OPTIMIZER, (experiment.optimizer for experiment in results.experiments))
    cite(_BY_NETWORK, (experiment.network for experiment in results.experiments))
    cite(_BY_DATA, (str(data.get("name", "")),) if isinstance(data, Mapping) else ())
    pairs = [pair for e in results.experiments for pairs in e.pairs.values() for pair in pairs]
    joined = [pair for atlas in results.atlases for pair in atlas.pairs]
    drawn = [path for each in results.maps for path in each.paths.values()]
    cite(_BY_PATH, (path.method for path in (*(pair.path for pair in (*pairs, *joined)), *drawn)))
    keys += _ALIGNMENT if any(pair.aligned for pair in pairs) else ()
    keys += _TREE if joined else ()
    keys += _JACKKNIFE if pairs else ()
    compared = [pair for each in results.weights for pair in each.comparisons]
    scored = [pca for pair in compared for pca, _ in pair.components]
    keys += _CENTROIDS if compared else ()
    cite(_BY_KERNEL, (pca.kernel.name for pca in scored))
    keys += _SEPARATION if scored else ()
    cite(_BY_TABLE, results.tables)
    keys.append("paszke2019")
    return tuple(_ALL[key] for key in dict.fromkeys(keys))


def citations_for_connection(connection: Connection) -> tuple[Citation, ...]:
    """Works behind the paths, the alignment and the tree of a connection."""
    methods = dict.fromkeys(path.method for route in connection.routes for path in route.paths.values())
    keys = [key for method in methods for key in (*_BY_PATH.get(method, ()), *_FOURIER.get(method, ()))]
    keys += _ALIGNMENT if connection.aligned else ()
    keys += (
        ["jordan2023"]
        if any(r.averaging is not None and r.averaging.refreshed is not None for r in connection.routes)
        else []
    )
    keys += _TREE if len(connection.labels) > 2 else ()
    return tuple(_ALL[key] for key in dict.fromkeys([*keys, "paszke2019"]))


def citations_for_surface(found: Slicing) -> tuple[Citation, ...]:
    """Works behind the directions and the roughness of a surface."""
    keys = [*_BY_PLANE.get(found.surface.plane.kind, ()), *(("barber1996",) if found.relief is not None else ())]
    return tuple(_ALL[key] for key in dict.fromkeys([*keys, "paszke2019"]))


def citations_for_spectra(found: Spectra) -> tuple[Citation, ...]:
    """Works behind the eigenvalues, traces and matrices of spectra."""
    points = [point for _, point in found.done]
    keys = ["pearlmutter1994"] if any("reverse" in point.check.method for point in points) else []
    keys += ["wu2000"] if any("Lanczos" in point.eigenpairs.method for point in points) else []
    keys += ["ubaru2017", "ghorbani2019"] if points else []
    keys += ["schraudolph2002"] if any(point.gauss_newton is not None for point in points) else []
    keys += ["kunstner2019"] if any(point.fisher is not None for point in points) else []
    keys += ["wigner1958", "bray2007", "dauphin2014"] if found.index is not None else []
    return tuple(_ALL[key] for key in dict.fromkeys([*keys, "paszke2019"]))


def citations_for_diagnosis(kinds: Iterable[Kind], *, lanczos: bool) -> tuple[Citation, ...]:
    """Works behind the findings of a diagnosis; ``lanczos``: eigenvalues were searched rather than all computed."""
    keys = [key for kind in kinds for key in _BY_FINDING.get(kind, ())]
    keys += ["wu2000"] if lanczos else []
    return tuple(_ALL[key] for key in dict.fromkeys([*keys, "paszke2019"]))


def bibtex(citations: Iterable[Citation]) -> str:
    """The works as a BibTeX file."""
    return "\n".join(citation.bibtex for citation in citations)
