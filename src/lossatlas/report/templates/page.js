"use strict";
(() => {
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const plots = [...document.querySelectorAll(".plot")];
  const key = "lossatlas-theme";

  // Some browsers refuse storage to files; the choice then lasts as long as the page.
  const recall = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const remember = (value) => { try { localStorage.setItem(key, value); } catch { /* see above */ } };

  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  const themed = (layout) => {
    const change = {
      "font.color": colour("--ink"),
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      "hoverlabel.bgcolor": colour("--wash"),
      "hoverlabel.bordercolor": colour("--rule"),
      "hoverlabel.font.color": colour("--ink"),
      "modebar.bgcolor": "rgba(0,0,0,0)",
      "modebar.color": colour("--muted"),
      "modebar.activecolor": colour("--ink"),
    };
    for (const axis of Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name))) {
      change[axis + ".gridcolor"] = colour("--grid");
      change[axis + ".linecolor"] = colour("--axis");
      change[axis + ".tickcolor"] = colour("--axis");
    }
    for (const scene of Object.keys(layout).filter((name) => /^scene\d*$/.test(name))) {
      for (const axis of ["xaxis", "yaxis", "zaxis"]) {
        change[`${scene}.${axis}.color`] = colour("--ink");
        change[`${scene}.${axis}.gridcolor`] = colour("--grid");
      }
    }
    return change;
  };

  const outlined = (plot) => plot.data.flatMap((trace, i) => (trace.meta === "outlined" ? [i] : []));

  const retheme = () => Promise.all(plots.filter((plot) => plot.data).map((plot) => {
    const indices = outlined(plot);
    const style = indices.length ? { "marker.line.color": colour("--paper") } : {};
    return Plotly.update(plot, style, themed(plot.layout), indices.length ? indices : [0]);
  })).then(() => { root.dataset.figures = isDark() ? "dark" : "light"; });

  const label = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Change to ${isDark() ? "light" : "dark"} colours`);
  };

  const setTheme = (theme) => {
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
    label();
    return retheme();
  };

  // A finger that scrolls the page must not draw a zoom box.
  const dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";
  const config = {
    displaylogo: false,
    responsive: true,
    displayModeBar: false,
    showSendToCloud: false,
  };

  // Labels of a logarithmic axis are spaced for the whole range; a zoomed one needs spacing of its own.
  const respace = (plot, event) => {
    const change = {};
    for (const [name, mode] of Object.entries(plot.modes)) {
      if (event[name + ".range[0]"] !== undefined) change[name + ".tickmode"] = "auto";
      if (event[name + ".autorange"]) change[name + ".tickmode"] = mode;
    }
    if (Object.keys(change).length) Plotly.relayout(plot, change);
  };
  const watch = (plot) => {
    plot.modes = Object.fromEntries(Object.entries(plot.layout)
      .filter(([name, axis]) => /^[xy]axis/.test(name) && axis.type === "log" && axis.tickmode)
      .map(([name, axis]) => [name, axis.tickmode]));
    plot.on("plotly_relayout", (event) => respace(plot, event));
  };

  // Arrays travel as base64; unpacked here, so that whoever looks at a plot's data finds numbers.
  const types = { f4: Float32Array, f8: Float64Array, i1: Int8Array, i2: Int16Array, i4: Int32Array };
  const unpack = (value) => {
    const bytes = Uint8Array.from(atob(value.bdata), (letter) => letter.charCodeAt(0));
    const flat = new types[value.dtype](bytes.buffer);
    if (!value.shape) return flat;
    const [rows, columns] = String(value.shape).split(",").map(Number);
    return Array.from({ length: rows }, (_, i) => flat.subarray(i * columns, (i + 1) * columns));
  };
  const unpacked = (trace) => {
    for (const name of ["x", "y", "z"]) if (trace[name]?.bdata) trace[name] = unpack(trace[name]);
    if (trace.customdata) {
      // Lines: their names, and how many points each has.
      trace.text = trace.customdata.flatMap(([name, count]) => Array(count).fill(name));
      delete trace.customdata;
    }
    return trace;
  };

  const drawAll = async () => {
    for (const plot of plots) {
      const { data, layout } = JSON.parse(plot.parentElement.querySelector(".plot-data").textContent);
      await Plotly.newPlot(plot, data.map(unpacked), { ...layout, dragmode, autosize: true }, config);
      watch(plot);
    }
    await retheme();
  };

  for (const entry of document.querySelectorAll(".legend button")) {
    entry.addEventListener("click", () => {
      const shown = entry.getAttribute("aria-pressed") !== "true";
      entry.setAttribute("aria-pressed", String(shown));
      for (const plot of entry.closest(".figure").querySelectorAll(".plot")) {
        const indices = plot.data.flatMap((trace, i) => (trace.name === entry.dataset.label ? [i] : []));
        if (indices.length) Plotly.restyle(plot, { visible: shown }, indices);
      }
    });
  }

  button.hidden = false;
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    remember(theme);
    setTheme(theme);
  });
  prefersDark.addEventListener("change", () => setTheme(root.dataset.theme));

  // Paper is white.
  let before = null;
  addEventListener("beforeprint", () => { before = root.dataset.theme ?? null; setTheme("light"); });
  addEventListener("afterprint", () => setTheme(before));

  // Beside a wide page the contents are always open; above a narrow one they would hide it.
  const contents = document.getElementById("contents");
  const wide = matchMedia("(min-width: 68rem)");
  const arrange = () => {
    contents.open = wide.matches;
    contents.firstElementChild.tabIndex = wide.matches ? -1 : 0;
  };
  wide.addEventListener("change", arrange);
  arrange();
  contents.addEventListener("click", (event) => { if (event.target.closest("a") && !wide.matches) contents.open = false; });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && contents.open && !wide.matches) {
      contents.open = false;
      contents.firstElementChild.focus();
    }
  });

  // The section being read: the last one that begins above the upper third of the window.
  const links = new Map([...contents.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...document.querySelectorAll("main > section")];
  const follow = () => {
    const read = sections.findLast((section) => section.getBoundingClientRect().top < innerHeight / 3) ?? sections[0];
    for (const [anchor, link] of links) {
      if (anchor === read?.id) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    }
    // In a window too low for all contents, the current one stays in sight.
    const nav = contents.parentElement;
    const link = links.get(read?.id);
    const hidden = link && (link.offsetTop < nav.scrollTop || link.offsetTop > nav.scrollTop + nav.clientHeight - 40);
    if (wide.matches && hidden) nav.scrollTop = link.offsetTop - nav.clientHeight / 2;
  };
  addEventListener("scroll", () => requestAnimationFrame(follow), { passive: true });
  follow();

  if (["light", "dark"].includes(recall())) root.dataset.theme = recall();
  label();
  drawAll();
})();
