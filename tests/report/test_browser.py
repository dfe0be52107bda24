"""The page in a real browser, at the widths of a desk and of a phone, light and dark."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from paper_results import complete

from lossatlas import landscape
from lossatlas.analysis.claims import ClaimInputs, claims_table, evaluate_claims
from lossatlas.report import write, write_connection
from lossatlas.report.page import render_page
from lossatlas.report.write import build_sections
from lossatlas.study import connect
from lossatlas.study.results import StudyResults

pytestmark = pytest.mark.timeout(120)

# Asked for before any script of the page runs, so that nothing escapes.
RECORDER = """
window.__errors = [];
addEventListener("error", (e) => __errors.push(String(e.message)));
addEventListener("unhandledrejection", (e) => __errors.push(String(e.reason)));
for (const level of ["error", "warn"]) {
  const original = console[level];
  console[level] = (...words) => { __errors.push(words.join(" ")); original.apply(console, words); };
}
addEventListener("securitypolicyviolation", (e) => __errors.push(`policy: ${e.violatedDirective} ${e.blockedURI}`));
"""

BECOME = """
import fcntl, os, sys
# Copied out of the way first: either may be where the other has to go.
read, write = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""

# The page says in which colours its figures are drawn, once they are.
WAIT = """
new Promise((done) => {
  const look = () => (CONDITION ? done(true) : requestAnimationFrame(look));
  look();
})
"""
DRAWN = "document.documentElement.dataset.figures"

PROBE = r"""
(() => {
  const box = (e) => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
  const shown = (e) => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0; };
  const overlap = (a, b, slack = 1) =>
    Math.min(a[2], b[2]) - Math.max(a[0], b[0]) > slack && Math.min(a[3], b[3]) - Math.max(a[1], b[1]) > slack;
  const texts = (plot, selector) => [...plot.querySelectorAll(selector)].filter(shown);
  const collisions = [];
  const clash = (where, items) => items.forEach(([name, a], i) => items.slice(i + 1).forEach(([other, b]) => {
    if (overlap(a, b)) collisions.push(`${where}: ${name} / ${other}`);
  }));

  const plots = [...document.querySelectorAll(".js-plotly-plot")].map((plot) => {
    const frame = box(plot);
    const items = [
      ...texts(plot, ".xtitle, .ytitle").map((e) => [`title ${e.textContent}`, box(e)]),
      ...texts(plot, ".xtick text, .ytick text").map((e) => [`tick ${e.textContent}`, box(e)]),
    ];
    const name = plot.getAttribute("aria-label");
    clash(name, items);
    for (const [label, b] of items) {
      if (b[0] < frame[0] - 1 || b[2] > frame[2] + 1 || b[1] < frame[1] - 1 || b[3] > frame[3] + 1) {
        collisions.push(`${name}: ${label} is cut off`);
      }
    }
    const area = box(plot.querySelector(".plotbg, .bglayer, .cartesianlayer .plot"));
    return {
      name,
      points: plot.data.map((trace) => (trace.y ? [...trace.y].filter(Number.isFinite).length : 0)),
      drawn: plot.querySelectorAll(".scatterlayer path").length,
      titles: [plot.layout.xaxis.title.text, plot.layout.yaxis.title.text],
      titlesShown: texts(plot, ".xtitle, .ytitle").map((e) => e.textContent),
      plotWidth: plot._fullLayout.xaxis._length,
    };
  });

  for (const figure of document.querySelectorAll(".figure")) {
    const parts = [".panel-title", ".plot", ".legend", "figcaption", ".files"].flatMap((selector) =>
      [...figure.querySelectorAll(selector)].map((e, i) => [`${selector} ${i}`, box(e)]));
    clash(figure.id, parts);
    clash(figure.id, [...figure.querySelectorAll(".legend button")].map((e) => [e.textContent, box(e)]));
  }
  const blocks = ["header", "nav", "section"].flatMap((tag) => [...document.querySelectorAll(tag)])
    .map((e) => [e.id || e.tagName, box(e)]);
  clash("page", blocks);
  for (const section of document.querySelectorAll("section")) {
    clash(section.id, [...section.children].filter(shown).map((e, i) => [`${e.tagName} ${i}`, box(e)]));
  }
  clash("header", [...document.querySelectorAll("header > *")].filter(shown).filter((e) => e.id !== "theme")
    .map((e) => [e.tagName, box(e)]));
  clash("contents", [...document.querySelectorAll("nav li")].map((e) => [e.textContent, box(e)]));

  const captions = [...document.querySelectorAll("caption span")].map((e) => {
    const scroll = e.closest(".scroll").getBoundingClientRect();
    return e.getBoundingClientRect().right <= scroll.right + 1;
  });
  const style = getComputedStyle(document.body);
  return {
    plots,
    collisions,
    captions,
    errors: window.__errors,
    resources: performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith("data:")),
    scrollWidth: document.documentElement.scrollWidth,
    innerWidth: window.innerWidth,
    ink: style.color,
    paper: getComputedStyle(document.documentElement).backgroundColor,
    axisInk: getComputedStyle(document.querySelector(".xtitle")).fill,
    headings: [...document.querySelectorAll("h1, h2, h3")].map((e) => e.tagName),
    unnamed: [...document.querySelectorAll("button, a")].filter(shown)
      .filter((e) => !e.closest(".modebar") && !(e.textContent.trim() || e.ariaLabel)).length,
    figcaptions: [...document.querySelectorAll("figure")].map((e) => e.querySelector("figcaption").textContent.length),
  };
})()
"""


class Chromium:
    """Headless Chromium, spoken to over a pipe in its own protocol."""

    def __init__(self, profile: Path) -> None:
        binary = shutil.which("chromium")
        if binary is None:
            pytest.fail("expected the browser 'chromium', got none: install it with 'apt-get install chromium'")
        commands_out, commands_in = os.pipe()
        answers_out, answers_in = os.pipe()
        flags = (
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
            "--disable-component-update --disable-sync --disable-dev-shm-usage "
            "--hide-scrollbars --remote-debugging-pipe"
        )
        # The protocol wants descriptors 3 and 4; a short program puts them there and becomes the browser.
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", BECOME, str(commands_out), str(answers_in), binary),
                *flags.split(),
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            pass_fds=(commands_out, answers_in),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands_out)
        os.close(answers_in)
        self.commands = os.fdopen(commands_in, "wb", buffering=0)
        self.answers = os.fdopen(answers_out, "rb", buffering=0)
        self.pending = b""
        self.number = 0
        self.session: str | None = None
        self.requests: list[str] = []

    def attach(self) -> None:
        """Open a page of our own and listen to what it asks for."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=RECORDER)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self.pending:
            part = self.answers.read(1 << 20)
            if not part:
                pytest.fail("expected an answer from chromium, but it has ended: run 'chromium --headless' to see why")
            self.pending += part
        message, self.pending = self.pending.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(message)
        if answer.get("method") == "Network.requestWillBeSent":
            self.requests.append(answer["params"]["request"]["url"])
        return answer

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer)
                return answer["result"]

    def evaluate(self, script: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def prefer(self, scheme: str) -> None:
        """Be a system that prefers light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, page: Path, width: int, *, scheme: str = "light") -> None:
        """Load a page and wait until its figures are drawn."""
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=mobile)
        self.call("Emulation.setTouchEmulationEnabled", enabled=mobile)
        self.prefer(scheme)
        self.requests.clear()
        self.call("Page.navigate", url=page.as_uri())
        # Navigation is answered before the new document exists: wait for its address, then for its figures.
        while not self.evaluate(f"location.href === {json.dumps(page.as_uri())} && document.readyState === 'complete'"):
            pass
        self.until(DRAWN)

    def until(self, condition: str) -> None:
        """Wait for a condition in the page; the test's own limit ends a vain wait."""
        self.evaluate(WAIT.replace("CONDITION", condition))

    def close(self) -> None:
        # Without a reader and a writer at the other end of its pipe, the browser ends by itself.
        self.commands.close()
        self.answers.close()
        self.process.wait()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    chromium = Chromium(tmp_path_factory.mktemp("profile"))
    try:
        chromium.attach()
        yield chromium
    finally:
        chromium.close()


@pytest.fixture(scope="module")
def page(written: Path) -> Path:
    return written / "report.html"


def brightness(colour: str) -> float:
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")[:3]) / 765


PAPER = "getComputedStyle(document.documentElement).backgroundColor"
AXIS = "getComputedStyle(document.querySelector('.xtitle')).fill"


def check(seen: dict[str, Any], width: int, plots: int) -> None:
    assert seen["errors"] == []
    assert seen["resources"] == []

    assert len(seen["plots"]) == plots
    for plot in seen["plots"]:
        assert plot["points"], plot["name"]
        assert min(plot["points"]) > 0, plot["name"]
        assert plot["drawn"] > 0, plot["name"]
        assert all(plot["titles"]), plot["name"]
        assert sorted(plot["titlesShown"]) == sorted(plot["titles"])
        assert plot["plotWidth"] > 150, plot["name"]
    assert all(length > 60 for length in seen["figcaptions"])

    assert seen["innerWidth"] == width
    assert seen["scrollWidth"] <= width
    assert seen["collisions"] == []
    assert all(seen["captions"])
    assert seen["unnamed"] == 0
    assert seen["headings"][:2] == ["H1", "H2"]


@pytest.mark.parametrize("width", [1280, 390])
def test_page_is_sound_in_light_and_dark(browser: Chromium, page: Path, width: int) -> None:
    browser.open(page, width)
    seen = browser.evaluate(PROBE)
    check(seen, width, plots=20)
    assert brightness(seen["paper"]) > 0.5 > brightness(seen["ink"])
    assert brightness(seen["axisInk"]) < 0.5

    browser.prefer("dark")
    browser.until(f"{DRAWN} === 'dark'")
    seen = browser.evaluate(PROBE)
    check(seen, width, plots=20)
    assert brightness(seen["paper"]) < 0.5 < brightness(seen["ink"])
    assert brightness(seen["axisInk"]) > 0.5

    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    browser.until(f"{DRAWN} === 'light'")
    assert brightness(browser.evaluate(AXIS)) < 0.5, "paper is white"
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    browser.until(f"{DRAWN} === 'dark'")
    assert brightness(browser.evaluate(AXIS)) > 0.5
    assert browser.requests == [page.as_uri()]


def test_probe_sees_what_it_should(browser: Chromium, page: Path) -> None:
    browser.open(page, 1280)
    browser.evaluate(
        """
        document.querySelector("figcaption").style.marginTop = "-80px";
        document.querySelector("h2").style.width = "3000px";
        console.error("broken");
        document.body.append(Object.assign(new Image(), { src: "https://example.invalid/x.png" }));
        new Promise((done) => addEventListener("securitypolicyviolation", () => done(true)));
        """
    )
    seen = browser.evaluate(PROBE)
    assert any("figcaption" in collision for collision in seen["collisions"])
    assert seen["scrollWidth"] > 1280
    assert "broken" in seen["errors"]
    # The page's own policy stops what would have left the file.
    assert any("img-src" in error for error in seen["errors"])


def test_toggle_changes_and_remembers_colours(browser: Chromium, page: Path) -> None:
    browser.open(page, 1280)
    assert brightness(browser.evaluate(PAPER)) > 0.5
    browser.evaluate("document.getElementById('theme').click()")
    browser.until(f"{DRAWN} === 'dark'")
    assert brightness(browser.evaluate(PAPER)) < 0.5
    assert brightness(browser.evaluate(AXIS)) > 0.5
    browser.open(page, 1280)
    assert brightness(browser.evaluate(PAPER)) < 0.5
    assert brightness(browser.evaluate(AXIS)) > 0.5
    assert browser.evaluate("document.getElementById('theme').ariaLabel") == "Change to light colours"
    browser.evaluate("localStorage.clear()")


def test_legends_and_zoom(browser: Chromium, page: Path) -> None:
    browser.open(page, 1280)
    state = """
    [...document.querySelectorAll("#figure-profiles .plot")].map((plot) =>
      plot.data.filter((trace) => trace.name === "SGD").map((trace) => trace.visible ?? true))
    """
    click = "document.querySelector('#figure-profiles button[data-label=\"SGD\"]').click()"
    assert browser.evaluate(state) == [[True]] * 8
    browser.evaluate(click)
    assert browser.evaluate(state) == [[False]] * 8
    browser.evaluate(click)
    assert browser.evaluate(state) == [[True]] * 8

    labels = "document.querySelector('.plot').querySelectorAll('.ytick text').length"
    relayout = "Plotly.relayout(document.querySelector('.plot'), %s).then(() => new Promise(requestAnimationFrame))"
    whole = browser.evaluate(labels)
    browser.evaluate(relayout % "{'yaxis.range[0]': -4.4, 'yaxis.range[1]': -4}")
    assert browser.evaluate(labels) >= 2, "a zoomed logarithmic axis keeps its labels"
    browser.evaluate(relayout % "{'yaxis.autorange': true}")
    assert browser.evaluate(labels) == whole


CONTENTS = """
(() => {
  const nav = document.querySelector("nav").getBoundingClientRect();
  const current = [...document.querySelectorAll("nav a[aria-current]")].map((link) => link.hash);
  return { nav: [nav.left, nav.top, nav.right, nav.bottom], current, focus: document.activeElement.textContent,
    open: document.getElementById("contents").open, main: document.querySelector("main").getBoundingClientRect().left,
    heading: document.querySelector("#method h2").getBoundingClientRect().top };
})()
"""


def press(browser: Chromium, key: str, code: int) -> None:
    """Press a key as a reader does."""
    text = {"text": "\r"} if key == "Enter" else {}
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)


def settled(browser: Chromium) -> dict[str, Any]:
    """The contents after the page has scrolled and drawn."""
    browser.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    found: dict[str, Any] = browser.evaluate(CONTENTS)
    return found


def test_contents_stay_beside_a_wide_page(browser: Chromium, page: Path) -> None:
    browser.open(page, 1280)
    seen = settled(browser)
    assert seen["open"]
    assert seen["nav"][2] < seen["main"]
    assert seen["current"] == ["#summary"]
    anchors = browser.evaluate("[...document.querySelectorAll('nav a')].map((link) => link.hash.slice(1))")
    assert anchors == browser.evaluate("[...document.querySelectorAll('main > section')].map((e) => e.id)")

    # With the keyboard alone: past the link to the content and the button, to the last link but one.
    for _ in range(2 + anchors.index("method") + 1):
        press(browser, "Tab", 9)
    assert settled(browser)["focus"] == "How it was made"
    press(browser, "Enter", 13)
    seen = settled(browser)
    assert browser.evaluate("location.hash") == "#method"
    assert 0 <= seen["heading"] < 60
    assert seen["current"] == ["#method"]
    assert 0 < seen["nav"][1] < 60, "the contents are still in sight"
    assert seen["nav"][3] <= 900

    # A window too low for all of them.
    browser.evaluate("document.querySelector('nav').style.maxHeight = '150px'; scrollTo(0, 0)")
    settled(browser)
    browser.evaluate("scrollTo(0, document.body.scrollHeight)")
    nav = settled(browser)["nav"]
    link = browser.evaluate(
        "(() => { const r = document.querySelector('nav a[aria-current]').getBoundingClientRect();"
        " return [r.top, r.bottom]; })()"
    )
    assert nav[1] <= link[0]
    assert link[1] <= nav[3]


def test_contents_open_above_a_narrow_page(browser: Chromium, page: Path) -> None:
    browser.open(page, 390)
    seen = settled(browser)
    assert not seen["open"]
    for _ in range(3):
        press(browser, "Tab", 9)
    press(browser, "Enter", 13)
    seen = settled(browser)
    assert seen["open"]
    assert seen["nav"][3] < 900
    press(browser, "Escape", 27)
    assert not settled(browser)["open"]

    browser.evaluate("document.getElementById('contents').open = true")
    browser.evaluate("document.querySelector('nav a[href=\"#method\"]').click()")
    seen = settled(browser)
    assert not seen["open"], "the contents do not hide what was asked for"
    assert seen["nav"][1] == 0
    assert seen["nav"][3] <= seen["heading"] < 100, "the heading is below the contents"


def test_contents_without_scripts_are_open(page: Path) -> None:
    assert '<details id="contents" open>' in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [1280, 390])
def test_folded_claims(
    browser: Chromium, tmp_path: Path, make_results: Callable[..., StudyResults], width: int
) -> None:
    found = tuple(claim for name in ("fcp", "lstm") for claim in evaluate_claims([ClaimInputs(name)]))
    results = make_results(tmp_path, [("fcp", "sgd")], tables={"claims": claims_table(found)})
    page = tmp_path / "report.html"
    page.write_text(render_page("Claims", "Tested.", build_sections(results)))
    browser.open(page, width)
    check(browser.evaluate(PROBE), width, plots=5)
    browser.evaluate("document.querySelectorAll('.group').forEach((group) => { group.open = true; })")
    check(browser.evaluate(PROBE), width, plots=5)


def test_unfinished_study(browser: Chromium, tmp_path: Path, make_results: Callable[..., StudyResults]) -> None:
    missing = tuple(f"fcp/sgd/pairs/train/{i}" for i in range(9))
    results = make_results(tmp_path, [("lenet", "lbfgs-gss")], missing=missing)
    page = tmp_path / "report.html"
    page.write_text(render_page("Loss landscapes: unfinished", "A part of the study.", build_sections(results)))
    browser.open(page, 390)
    check(browser.evaluate(PROBE), 390, plots=5)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_papers_figures(
    browser: Chromium, tmp_path: Path, make_results: Callable[..., StudyResults], width: int
) -> None:
    results = complete(make_results(tmp_path, [("fcp", "lbfgs-gss"), ("fcp", "sgd"), ("lenet", "sgd")]))
    page = tmp_path / "report.html"
    page.write_text(render_page("Loss landscapes: all figures", "Everything.", build_sections(results)))
    browser.open(page, width)
    seen = browser.evaluate(PROBE)
    panels = sum(len(figure.panels) for section in build_sections(results) for figure in section.figures)
    check(seen, width, plots=panels)
    assert browser.requests == [page.as_uri()]
    # Lines keep the names that travel beside their numbers.
    named = "document.querySelector('#figure-passes .plot').data.map((trace) => [trace.text.length, trace.x.length])"
    lengths = browser.evaluate(named)
    assert lengths
    assert all(names == points > 0 for names, points in lengths)


def test_study_without_results(browser: Chromium, tmp_path: Path, make_results: Callable[..., StudyResults]) -> None:
    browser.open(write(make_results(tmp_path, [], tables={}, missing=("fcp/sgd",))), 390)
    assert browser.evaluate("window.__errors") == []
    assert browser.evaluate("document.querySelectorAll('.plot').length") == 0


@pytest.mark.parametrize("width", [1280, 390])
def test_page_of_a_connection(browser: Chromium, tmp_path: Path, width: int) -> None:
    surface = landscape.get("muller-brown")
    minima = surface.minima
    found = connect(surface, torch.stack([m.x for m in minima]), [m.name for m in minima], method="linear")
    browser.open(write_connection(found, tmp_path), width)
    seen = browser.evaluate(PROBE)
    check(seen, width, plots=5)
    box = browser.evaluate(
        "(() => { const l = document.querySelector('.panel.map .plot')._fullLayout;"
        " const per = (a) => a._length / Math.abs(a.range[1] - a.range[0]);"
        " return [per(l.xaxis), per(l.yaxis)]; })()"
    )
    assert box[0] == pytest.approx(box[1], rel=1e-3), "a unit is as long on one axis as on the other"
