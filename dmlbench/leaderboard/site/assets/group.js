// One group of comparable rows: what it shows, its table, verdicts, notes and chart.
"use strict";

{
  const { element } = site;
  const NOTES = 8;
  // Fewer points say nothing.
  const FEWEST_POINTS = 2;
  // Seconds of an accelerator, of processors and of the wall clock do not compare.
  const KINDS = [
    { at: 0, unit: "GPU", words: "accelerator time" },
    { at: 1, unit: "CPU", words: "processor time" },
    { at: 2, unit: "wall", words: "wall-clock time" },
  ];

  /** The kinds of cost that enough rows have, the one that most have first. */
  function costKinds(board, rows) {
    const mean = 3 * board.metrics.findIndex((metric) => metric.id === "recall_at_1");
    const have = ({ at }) =>
      rows.filter((row) => row.spent[at] > 0 && row.intervals[mean] !== null).length;
    return KINDS.filter((kind) => have(kind) >= FEWEST_POINTS).sort((a, b) => have(b) - have(a));
  }

  /** The setting that the rows share, with words of it explained. */
  function aboutOf({ about }, id) {
    const parts = about.split(" · ").flatMap((part, i) =>
      [i ? " · " : null, /^\d+-d$/.test(part) ? site.word("dim-budget", part) : part]);
    return element("p", { class: "about", id }, ...parts);
  }

  /** What not to rely on, in a line; the reason unfolds. */
  function cautionOf(text) {
    const at = text.indexOf(": ");
    return element("details", { class: "caution" },
      element("summary", {}, `${text[0].toUpperCase()}${text.slice(1, at)}.`),
      element("p", {}, ...site.prose(`${text[at + 2].toUpperCase()}${text.slice(at + 3)}.`)));
  }

  function findingOf({ finding: [first, ...others] }) {
    if (!first) return null;
    return element("p", { class: "finding" }, element("strong", {}, first), ` ${others.join(" ")}`);
  }

  function notesOf({ notes }) {
    const shown = notes.slice(0, NOTES).map((note) =>
      element("li", {}, ...site.prose(note)));
    const left = notes.length - NOTES;
    if (left > 0) shown.push(element("li", {}, `and ${left} more notes on their entries' pages`));
    return shown.length ? element("ul", { class: "notes" }, ...shown) : null;
  }

  /** What is said of a row's tuning: of the few that are tuned, or of the few that are not. */
  function markTuning(rows) {
    const tuned = rows.filter((row) => row.tuned).length;
    const most = 2 * tuned > rows.length;
    for (const row of rows) {
      row.mark = row.tuned === most || !row.hasPage ? "" : row.tuned ? "tuned" : "not tuned";
    }
    if (!most) return "";
    return tuned < rows.length ? "rows without a mark are tuned" : "all rows are tuned";
  }

  function keyOf(group, tuning) {
    const item = (kind, place, words) => element("span", {},
      element("span", { class: "bar", "data-place": place, "data-kind": kind, "aria-hidden": "true" },
        element("span", { class: "point" })), ` ${words}`);
    const kinds = new Set(group.rows.map((row) => row.combiner === null));
    const places = new Set(group.rows.map(site.place));
    const items = kinds.size > 1
      ? [item("loss", "first", "a loss alone"), item("combination", "first", "a combination")] : [];
    if (places.has("first") && places.has("behind")) {
      items.push(item("loss", "first", "filled: may be first"),
        item("loss", "behind", "hollow: some row is significantly better"));
    }
    if (tuning) {
      items.push(element("span", {}, tuning, site.tip("tuned", "tuned")));
    }
    return items.length ? element("p", { class: "key" }, ...items) : null;
  }

  /** The chart of cost, drawn when it is first seen; `draw(rows)` draws other rows. */
  function costChart(board, rows) {
    const kinds = costKinds(board, rows);
    if (!kinds.length) return null;
    const plot = element("div", { class: "plot" });
    let [shown, kind] = [rows, kinds[0]];
    const redraw = () => {
      if (plot.querySelector("svg, p")) site.drawCost(plot, shown, board, plot.clientWidth, kind);
    };
    site.whenSeen(plot, async (width) => {
      // Only now, so that the table does not wait for what draws charts.
      try {
        await site.load("vendor/d3.js", "vendor/plot.js", "assets/cost.js");
      } catch {
        plot.replaceChildren("The chart cannot be drawn: a file in vendor/ or assets/ is missing.");
        return;
      }
      site.drawCost(plot, shown, board, width, kind);
    });
    const change = (event) => {
      kind = kinds.find((one) => one.unit === event.target.value);
      redraw();
    };
    const choice = kinds.length < 2 ? null : element("label", { class: "kind" }, "Cost: ",
      element("select", { change }, ...kinds.map((one) =>
        element("option", { value: one.unit }, one.words))));
    return {
      element: element("figure", { class: "cost" },
        element("figcaption", {}, element("strong", {}, "Recall@1 against training cost"),
          " mean per trial, of the rows that the filters leave ", choice), plot),
      draw(others) {
        shown = others;
        redraw();
      },
    };
  }

  /** The table's region; it says so where columns are out of sight. */
  function scrolling(table, { dataset, about }) {
    const name = `Table of ${dataset}, ${about}`;
    const region = element("div",
      { class: "scroll", role: "region", "aria-label": name, tabindex: "0" }, table);
    const hint = element("p", { class: "more-columns", hidden: true, "aria-hidden": "true" },
      "More columns to the right: scroll the table →");
    const look = () => {
      const left = region.scrollWidth - region.clientWidth - region.scrollLeft;
      hint.hidden = region.scrollWidth <= region.clientWidth + 1;
      region.classList.toggle("cut", left > 1);
    };
    region.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(region);
    new ResizeObserver(look).observe(table);
    return element("div", { class: "columns" }, hint, region);
  }

  /** A section of the page; `show(rows)` shows these rows from the first page, `open()` unfolds. */
  site.groupView = function (board, group) {
    const id = `group-${group.key}`;
    const body = element("div");
    let [table, chart, rows] = [null, null, group.rows];

    // A folded group is filled when it is first opened.
    function fill() {
      if (table) return;
      const tuning = markTuning(group.rows);
      const lead = board.metrics.findIndex((metric) => metric.id === board.by);
      const scale = site.barScale(group.rows.map((row) => site.interval(row, lead)));
      table = site.groupTable(group, site.columns(board, group, lead, scale), scale);
      chart = costChart(board, group.rows);
      body.append(...[
        ...group.cautions.map(cautionOf),
        findingOf(group),
        scrolling(table.element, group),
        table.pager,
        table.status,
        keyOf(group, tuning),
        site.verdictList(group),
        notesOf(group),
        chart?.element,
      ].filter(Boolean));
      table.show(rows);
      chart?.draw(rows);
    }

    // Parameters and distribution are in small type.
    const [, name, rest] = /^([^([]*)(.*)$/.exec(group.dataset);
    const named = [name, rest ? element("small", { class: "params" }, rest) : ""];
    const title = element("h2", { id: `${id}-title` }, ...(group.folded
      ? named : [element("a", { class: "here", href: `#${id}` }, ...named)]));
    // Several tables of a dataset are told apart by their setting.
    const names = `${id}-title ${id}-about`;
    const section = element("section",
      { class: "group", id, "aria-labelledby": names, tabindex: "-1" });
    let details = null;
    if (group.folded) {
      const count = group.rows.length === 1 ? "1 row" : `${group.rows.length} rows`;
      details = element("details", { toggle: fill }, element("summary", {}, title,
        element("span", { class: "dim", id: `${id}-about` }, ` ${group.about} · ${count}`)), body);
      section.append(details);
    } else {
      section.append(element("div", { class: "head" }, title, aboutOf(group, `${id}-about`)), body);
      fill();
    }
    return {
      element: section,
      open() {
        if (details) details.open = true;
        fill();
      },
      show(others) {
        rows = others;
        table?.show(rows);
        chart?.draw(rows);
      },
    };
  };
}
