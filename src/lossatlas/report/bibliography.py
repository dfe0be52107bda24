"""The works that the library's methods, networks and data come from."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WORKS", "Citation", "work"]

_IDENTIFIERS = {"doi": "doi:", "eprint": "arXiv:"}


@dataclass(frozen=True)
class Citation:
    """One work.

    Args:
        key: BibTeX key.
        kind: BibTeX type: ``"article"``, ``"inproceedings"``, ``"book"``, ``"misc"``.
        authors: ``"Family, Given and Family, Given"``.
        title: title.
        year: year of publication.
        venue: journal or proceedings.
        details: volume, pages and identifiers, as BibTeX fields.
        reason: what it stands for in the study.
    """

    key: str
    kind: str
    authors: str
    title: str
    year: int
    venue: str
    details: tuple[tuple[str, str], ...]
    reason: str

    @property
    def people(self) -> str:
        """Family names with initials, joined as in a bibliography."""
        names = []
        for name in self.authors.split(" and "):
            family, _, given = name.partition(", ")
            initials = " ".join(f"{part[0]}." for part in given.split())
            names.append(f"{family}, {initials}" if initials else family)
        if names[-1] == "others":
            return f"{', '.join(names[:-1])} et al."
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} & {names[-1]}"

    @property
    def text(self) -> str:
        """The reference as a line of a bibliography.

        Example:
            >>> WORKS["kiefer1953"].text
            'Kiefer, J. (1953). Sequential minimax search for a maximum. Proceedings of the American Mathematical
            Society 4, 502–506. doi:10.2307/2032161'
        """
        fields = dict(self.details)
        where = self.venue
        if "volume" in fields:
            where += f" {fields['volume']}"
        if "pages" in fields:
            where += f", {fields['pages'].replace('--', '–')}"
        identifiers = [f"{prefix}{fields[key]}" for key, prefix in _IDENTIFIERS.items() if key in fields]
        return " ".join([f"{self.people} ({self.year}). {self.title}. {where}.", *identifiers])

    @property
    def bibtex(self) -> str:
        """The reference as a BibTeX entry."""
        place = {"article": "journal", "inproceedings": "booktitle", "book": "publisher"}.get(self.kind, "howpublished")
        fields = (("author", self.authors), ("title", f"{{{self.title}}}"), (place, self.venue), ("year", self.year))
        body = "".join(f"  {name} = {{{value}}},\n" for name, value in (*fields, *self.details))
        return f"@{self.kind}{{{self.key},\n{body}}}\n"


def work(  # noqa: PLR0917 - a bibliography reads better without six names on every entry
    key: str, kind: str, authors: str, title: str, venue: str, reason: str, /, **details: str
) -> tuple[str, Citation]:
    """A work by its key, which ends in its year (and a letter)."""
    year = int(key.rstrip("abc")[-4:])
    return key, Citation(key, kind, authors, title, year, venue, tuple(details.items()), reason)


WORKS = dict(
    [
        work(
            "yu2026",
            "misc",
            "Yu, Jianneng and Morozov, Alexandre V.",
            "Neural network optimization strategies and the topography of the loss landscape",
            "arXiv preprint",
            "the study being followed",
            eprint="2602.21276",
            archiveprefix="arXiv",
        ),
        work(
            "nocedal1980",
            "article",
            "Nocedal, Jorge",
            "Updating quasi-Newton matrices with limited storage",
            "Mathematics of Computation",
            "L-BFGS",
            volume="35",
            number="151",
            pages="773--782",
            doi="10.1090/S0025-5718-1980-0572855-7",
        ),
        work(
            "liu1989",
            "article",
            "Liu, Dong C. and Nocedal, Jorge",
            "On the limited memory BFGS method for large scale optimization",
            "Mathematical Programming",
            "L-BFGS",
            volume="45",
            pages="503--528",
            doi="10.1007/BF01589116",
        ),
        work(
            "kiefer1953",
            "article",
            "Kiefer, J.",
            "Sequential minimax search for a maximum",
            "Proceedings of the American Mathematical Society",
            "golden-section search",
            volume="4",
            number="3",
            pages="502--506",
            doi="10.2307/2032161",
        ),
        work(
            "robbins1951",
            "article",
            "Robbins, Herbert and Monro, Sutton",
            "A stochastic approximation method",
            "The Annals of Mathematical Statistics",
            "stochastic gradient descent",
            volume="22",
            number="3",
            pages="400--407",
            doi="10.1214/aoms/1177729586",
        ),
        work(
            "kingma2015",
            "inproceedings",
            "Kingma, Diederik P. and Ba, Jimmy",
            "Adam: A method for stochastic optimization",
            "International Conference on Learning Representations",
            "Adam",
            eprint="1412.6980",
        ),
        work(
            "loshchilov2019",
            "inproceedings",
            "Loshchilov, Ilya and Hutter, Frank",
            "Decoupled weight decay regularization",
            "International Conference on Learning Representations",
            "AdamW",
            eprint="1711.05101",
        ),
        work(
            "lecun1998",
            "article",
            "LeCun, Yann and Bottou, Léon and Bengio, Yoshua and Haffner, Patrick",
            "Gradient-based learning applied to document recognition",
            "Proceedings of the IEEE",
            "MNIST, LeNet",
            volume="86",
            number="11",
            pages="2278--2324",
            doi="10.1109/5.726791",
        ),
        work(
            "alpaydin1998",
            "misc",
            "Alpaydin, Ethem and Kaynak, Cenk",
            "Optical recognition of handwritten digits",
            "UCI Machine Learning Repository",
            "the digits data",
            doi="10.24432/C50P49",
        ),
        work(
            "xiao2017",
            "misc",
            "Xiao, Han and Rasul, Kashif and Vollgraf, Roland",
            "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms",
            "arXiv preprint",
            "Fashion-MNIST",
            eprint="1708.07747",
        ),
        work(
            "hochreiter1997",
            "article",
            "Hochreiter, Sepp and Schmidhuber, Jürgen",
            "Long short-term memory",
            "Neural Computation",
            "LSTM",
            volume="9",
            number="8",
            pages="1735--1780",
            doi="10.1162/neco.1997.9.8.1735",
        ),
        work(
            "frankle2020",
            "inproceedings",
            "Frankle, Jonathan and Dziugaite, Gintare Karolina and Roy, Daniel M. and Carbin, Michael",
            "Linear mode connectivity and the lottery ticket hypothesis",
            "International Conference on Machine Learning",
            "straight lines between minima",
            eprint="1912.05671",
        ),
        work(
            "entezari2022",
            "inproceedings",
            "Entezari, Rahim and Sedghi, Hanie and Saukh, Olga and Neyshabur, Behnam",
            "The role of permutation invariance in linear mode connectivity of neural networks",
            "International Conference on Learning Representations",
            "the barrier above the chord",
            eprint="2110.06296",
        ),
        work(
            "paszke2019",
            "inproceedings",
            "Paszke, Adam and Gross, Sam and Massa, Francisco and others",
            "PyTorch: An imperative style, high-performance deep learning library",
            "Advances in Neural Information Processing Systems",
            "PyTorch",
            volume="32",
            eprint="1912.01703",
        ),
        work(
            "pedregosa2011",
            "article",
            "Pedregosa, Fabian and Varoquaux, Gaël and Gramfort, Alexandre and others",
            "Scikit-learn: Machine learning in Python",
            "Journal of Machine Learning Research",
            "scikit-learn",
            volume="12",
            pages="2825--2830",
        ),
    ]
)
