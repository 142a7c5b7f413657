// The columns of a group's table: those that the board lists, and its metrics between them.
"use strict";

{
  const { element, percent } = site;
  const collator = new Intl.Collator("en", { numeric: true });
  const byText = (a, b, id) => collator.compare(a.getValue(id), b.getValue(id));
  // Cells that are more than their text.
  const cells = {
    losses: (row) => {
      // On a narrow screen the columns of combiner and tier are gone, and their text is here.
      const under = [row.combiner, row.tier].filter(Boolean).join(" · ");
      const name = row.hasPage
        ? element("a", { href: `entries/${row.id}.html` }, row.losses)
        : element("span", {}, row.losses);
      return element("span", {}, name, element("span", { class: "under" }, under));
    },
    combiner: (row) => row.combiner ?? element("span", { class: "dim" }, "–"),
    // "confirmed (splits)" is the tier "confirmed".
    tier: (row) =>
      element("span", { class: "tier", "data-tier": row.tier.split(" ")[0] }, row.tier),
  };

  /** A column of the board's list: of text a row has the value, of others text and value. */
  function listed({ id, title, text, ascending, screen }) {
    return {
      id,
      accessorFn: (row) => (text ? row[id] : row[id][1]) ?? undefined,
      sortingFn: text ? byText : "basic",
      sortDescFirst: !text && !ascending,
      meta: {
        title,
        full: title,
        text,
        header: id === "losses",
        cell: cells[id] ?? (text ? (row) => row[id] : (row) => row[id][0]),
        [screen]: true,
      },
    };
  }

  function metricCell([mean, low, high]) {
    if (low === null || mean === null) return percent(mean);
    // Figure spaces keep points and signs in line.
    const half = element("span", { class: "half" },
      ` ± ${percent((high - low) / 2).padStart(4, "\u2007")}`);
    return element("span", {}, percent(mean), half);
  }

  function measured(metric, i, isLead) {
    return {
      id: metric.id,
      accessorFn: (row) => row.intervals[3 * i] ?? undefined,
      sortDescFirst: true,
      sortingFn: "basic",
      meta: {
        title: metric.short,
        full: metric.title,
        rest: metric.rest,
        wide: !isLead && metric.id !== "recall_at_1",
        cell: (row) => metricCell(site.interval(row, i)),
      },
    };
  }

  /** Mean, low and high of a row's i-th metric. */
  site.interval = (row, i) => row.intervals.slice(3 * i, 3 * i + 3);

  /**
   * The columns of one group, for table-core. Of `meta`: `rest` is shown only with all metrics,
   * `wide` only on wide screens, `narrow` not on phones.
   */
  site.columns = function (board, group, lead, scale) {
    const said = (columns) => columns.filter((one) => !group.without.includes(one.id)).map(listed);
    const metrics = board.metrics.map((metric, i) => measured(metric, i, i === lead));
    return [
      ...said(board.leading),
      metrics[lead],
      {
        id: "interval",
        enableSorting: false,
        meta: {
          title: "95 % interval",
          cell: (row) => site.barCell(site.interval(row, lead), scale),
          bar: true,
          wide: true,
        },
      },
      ...metrics.filter((_, i) => i !== lead),
      ...said(board.trailing),
    ];
  };
}
