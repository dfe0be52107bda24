"""The works behind path finders, alignment, averages and disconnectivity graphs."""

from __future__ import annotations

from lossatlas.report.bibliography import Citation, work

__all__ = ["PATH_WORKS"]

PATH_WORKS: dict[str, Citation] = dict(
    [
        work(
            "garipov2018",
            "inproceedings",
            "Garipov, Timur and Izmailov, Pavel and Podoprikhin, Dmitrii and Vetrov, Dmitry and Wilson, Andrew Gordon",
            "Loss surfaces, mode connectivity, and fast ensembling of DNNs",
            "Advances in Neural Information Processing Systems",
            "Bezier curves and polygonal chains between networks",
            volume="31",
            eprint="1802.10026",
            archiveprefix="arXiv",
        ),
        work(
            "draxler2018",
            "inproceedings",
            "Draxler, Felix and Veschgini, Kambis and Salmhofer, Manfred and Hamprecht, Fred",
            "Essentially no barriers in neural network energy landscape",
            "International Conference on Machine Learning",
            "images inserted where a chain is coarse; spanning trees of minima",
            eprint="1803.00885",
            archiveprefix="arXiv",
        ),
        work(
            "henkelman2000a",
            "article",
            "Henkelman, Graeme and Jónsson, Hannes",
            "Improved tangent estimate in the nudged elastic band method for finding minimum energy paths and saddle "
            "points",
            "The Journal of Chemical Physics",
            "nudged elastic band: tangents",
            volume="113",
            number="22",
            pages="9978--9985",
            doi="10.1063/1.1323224",
        ),
        work(
            "henkelman2000b",
            "article",
            "Henkelman, Graeme and Uberuaga, Blas P. and Jónsson, Hannes",
            "A climbing image nudged elastic band method for finding saddle points and minimum energy paths",
            "The Journal of Chemical Physics",
            "nudged elastic band: climbing image",
            volume="113",
            number="22",
            pages="9901--9904",
            doi="10.1063/1.1329672",
        ),
        work(
            "e2007",
            "article",
            "E, Weinan and Ren, Weiqing and Vanden-Eijnden, Eric",
            "Simplified and improved string method for computing the minimum energy paths in barrier-crossing events",
            "The Journal of Chemical Physics",
            "string method",
            volume="126",
            number="16",
            pages="164103",
            doi="10.1063/1.2720838",
        ),
        work(
            "ainsworth2023",
            "inproceedings",
            "Ainsworth, Samuel K. and Hayase, Jonathan and Srinivasa, Siddhartha",
            "Git Re-Basin: Merging models modulo permutation symmetries",
            "International Conference on Learning Representations",
            "alignment of hidden units",
            eprint="2209.04836",
            archiveprefix="arXiv",
        ),
        work(
            "jordan2023",
            "inproceedings",
            "Jordan, Keller and Sedghi, Hanie and Saukh, Olga and Entezari, Rahim and Neyshabur, Behnam",
            "REPAIR: REnormalizing Permuted Activations for Interpolation Repair",
            "International Conference on Learning Representations",
            "normalisation statistics of averaged networks",
            eprint="2211.08403",
            archiveprefix="arXiv",
        ),
        work(
            "becker1997",
            "article",
            "Becker, Oren M. and Karplus, Martin",
            "The topology of multidimensional potential energy surfaces: Theory and application to peptide structure "
            "and kinetics",
            "The Journal of Chemical Physics",
            "disconnectivity graphs",
            volume="106",
            number="4",
            pages="1495--1517",
            doi="10.1063/1.473299",
        ),
        work(
            "wales1998",
            "article",
            "Wales, David J. and Miller, Mark A. and Walsh, Tiffany R.",
            "Archetypal energy landscapes",
            "Nature",
            "disconnectivity graphs",
            volume="394",
            pages="758--760",
            doi="10.1038/29487",
        ),
    ]
)
