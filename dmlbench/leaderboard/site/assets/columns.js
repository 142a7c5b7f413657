// The columns of a group's table: those that the board lists, and its metrics between them.
"use strict";

{
  const { element, percent } = site;
  const collator = new Intl.Collator("en", { numeric: true });
  const byText = (a, b, id) => collator.compare(a.getValue(id), b.getValue(id));
  // A longer name may break at its hyphens.
  const UNBROKEN = 24;
  const tierOf = (row) => row.tier.split(" ")[0];

  /** Names, each with what follows it in small type. */
  function named(parts, joint) {
    return parts.flatMap(([name, rest], i) => [
      i ? joint : null,
      element("span", { class: name.length <= UNBROKEN ? "whole" : null }, name),
      ...(rest ? [element("wbr"), element("small", { class: "params" }, rest)] : []),
    ]).filter((part) => part !== null);
  }

  /** Links to what the submitter names, which entries are checked to have on http or https. */
  const linksOf = (row) => ["paper", "code"].filter((kind) => row[kind]).flatMap((kind) => [
    " ",
    element("a", {
      class: "link", href: row[kind], rel: "nofollow noopener", "aria-label": `${kind} of ${row.name}`,
    }, kind),
  ]);

  // Cells that are more than their text.
  const cells = {
    losses: (row) => {
      const names = named(row.lossParts ?? row.losses.split(" + ").map((one) => [one, ""]), " + ");
      // On a narrow screen the columns of combiner and tier are gone, and their text is here.
      const under = [row.combiner, row.tier].filter(Boolean).join(" · ");
      const name = row.hasPage
        ? element("a", { href: `entries/${row.id}.html` }, ...names)
        : element("span", {}, ...names);
      const mark = row.mark ? element("small", { class: "tuned", "data-tip": "tuned" }, row.mark) : null;
      return element("span", {}, name, mark && " ", mark, ...linksOf(row),
        element("span", { class: "under" }, under));
    },
    combiner: (row) => (row.combiner === null
      ? element("span", { class: "dim" }, "–")
      : element("span", {}, ...named([row.combinerParts ?? [row.combiner, ""]], ""))),
    // "confirmed (splits)" is the tier "confirmed".
    tier: (row) => element("span", { class: "tier", "data-tier": tierOf(row) }, row.tier),
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

  function metricCell([mean, low, high], length) {
    if (low === null || mean === null) return percent(mean);
    // Figure spaces keep points and signs in line.
    const half = element("span", { class: "half" },
      ` ± ${percent((high - low) / 2).padStart(length, "\u2007")}`);
    return element("span", {}, percent(mean), half);
  }

  function measured(metric, i, isLead, rows) {
    const widest = rows.reduce((most, { intervals }) =>
      Math.max(most, (intervals[3 * i + 2] ?? 0) - (intervals[3 * i + 1] ?? 0)), 0);
    const { length } = percent(widest / 2);
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
        cell: (row) => metricCell(site.interval(row, i), length),
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
    const silent = (text) => text === null || text === "–" || text[0] === "–";
    const said = (columns) => columns.filter(({ id }) => !group.without.includes(id) &&
      (id === "rank" || !group.rows.every((row) => silent(row[id])))).map(listed);
    const sure = group.rows.some((row) => site.interval(row, lead)[1] !== null);
    const metrics = board.metrics.map((metric, i) => measured(metric, i, i === lead, group.rows));
    return [
      ...said(board.leading),
      metrics[lead],
      {
        id: "interval",
        enableSorting: false,
        meta: {
          title: sure ? "95 % interval" : "On one scale",
          cell: (row) => site.barCell(site.interval(row, lead), scale, site.place(row)),
          bar: true,
          wide: true,
        },
      },
      ...metrics.filter((_, i) => i !== lead),
      ...said(board.trailing),
    ];
  };
}
