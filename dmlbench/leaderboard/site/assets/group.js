// One group of comparable rows: its verdicts, its table, its notes and its chart.
"use strict";

{
  const { element } = site;
  const NOTES = 8;

  function notesOf({ notes }) {
    const shown = notes.slice(0, NOTES).map((note) => element("p", { class: "note" }, note));
    const left = notes.length - NOTES;
    return left > 0
      ? [...shown, element("p", { class: "note" }, `and ${left} more notes on their entries' pages`)]
      : shown;
  }

  /** The chart of cost, drawn when it is first seen; `draw(rows)` draws other rows. */
  function costChart(board, rows) {
    const plot = element("div", { class: "plot" });
    let shown = rows;
    site.whenSeen(plot, async (width) => {
      // Only now, so that the table does not wait for what draws charts.
      try {
        await site.load("vendor/d3.js", "vendor/plot.js", "assets/cost.js");
      } catch {
        plot.replaceChildren("The chart cannot be drawn: a file in vendor/ or assets/ is missing.");
        return;
      }
      site.drawCost(plot, shown, board, width);
    });
    return {
      element: element("figure", { class: "cost" },
        element("figcaption", {}, element("strong", {}, "Recall@1 against training cost"),
          " mean per trial; all rows that the filters leave in this group"), plot),
      draw(others) {
        shown = others;
        if (plot.querySelector("svg")) site.drawCost(plot, shown, board, plot.clientWidth);
      },
    };
  }

  /** A section of the page, and `show(rows)`, which shows these rows from the first page. */
  site.groupView = function (board, group) {
    const lead = board.metrics.findIndex((metric) => metric.id === board.by);
    const scale = site.barScale(group.rows.map((row) => site.interval(row, lead)));
    const table = site.groupTable(group, site.columns(board, group, lead, scale), scale);
    const chart = costChart(board, group.rows);
    const id = `group-${group.key}`;
    const labelled = { "aria-labelledby": `${id}-title` };
    return {
      element: element("section", { class: "group", id, ...labelled, tabindex: "-1" },
        element("h2", { id: `${id}-title` }, group.dataset),
        element("p", { class: "about" }, group.about),
        site.verdictList(group),
        element("div", { class: "scroll", role: "region", ...labelled, tabindex: "0" },
          table.element),
        table.pager,
        table.status,
        ...notesOf(group),
        chart.element),
      show(rows) {
        table.show(rows);
        chart.draw(rows);
      },
    };
  };
}
