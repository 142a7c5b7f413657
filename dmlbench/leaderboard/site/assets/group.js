// One group of comparable rows: its verdicts, its table with sorting and pages, its chart.
"use strict";

site.groupView = function (board, group) {
  const { element, percent } = site;
  const core = window.TableCore;
  const collator = new Intl.Collator("en", { numeric: true });
  const byText = (a, b, id) => collator.compare(a.getValue(id), b.getValue(id));
  const lead = board.metrics.findIndex((metric) => metric.id === board.by);
  const scale = scaleOf(group.rows.map((row) => row.intervals.slice(3 * lead, 3 * lead + 3)));
  const id = `group-${group.key}`;

  // `rest`: shown only with all metrics; `wide`: only on wide screens; `narrow`: not on phones.
  const metricColumns = board.metrics.map((metric, i) => ({
    id: metric.id,
    accessorFn: (row) => row.intervals[3 * i] ?? undefined,
    sortDescFirst: true,
    sortingFn: "basic",
    meta: {
      title: metric.short,
      full: metric.title,
      rest: i !== lead && !["recall_at_1", "r_precision", "nmi"].includes(metric.id),
      wide: i !== lead && metric.id !== "recall_at_1",
      cell: (row) => metricCell(row.intervals.slice(3 * i, 3 * i + 3)),
    },
  }));
  const columns = [
    column("rank", "Rank", (row) => row.rank ?? undefined, (row) => row.rankText, { first: "asc" }),
    column("losses", "Losses", (row) => row.losses, nameCell, { text: true, header: true }),
    column("combiner", "Combiner", (row) => row.combiner ?? undefined,
      (row) => row.combiner ?? element("span", { class: "dim" }, "none"), { text: true, narrow: true }),
    column("tier", "Tier", (row) => row.tier,
      (row) => element("span", { class: "tier", "data-tier": row.tier }, row.tier), { text: true, narrow: true }),
    metricColumns[lead],
    {
      id: "interval",
      enableSorting: false,
      meta: { title: "95 % interval", cell: barCell, bar: true, wide: true },
    },
    ...metricColumns.filter((_, i) => i !== lead),
    column("dim", "Dim", (row) => row.dim, (row) => row.dimText, { rest: true, first: "asc" }),
    column("seeds", "Seeds", (row) => row.seeds, (row) => row.seedsText, { wide: true }),
    column("seconds", "Train", (row) => row.seconds ?? undefined,
      (row) => site.seconds(row.seconds), { wide: true, first: "asc" }),
  ];

  function column(name, title, value, cell, { text, header, narrow, wide, rest, first } = {}) {
    return {
      id: name,
      accessorFn: value,
      sortingFn: text ? byText : "basic",
      sortDescFirst: !text && first !== "asc",
      meta: { title, full: title, cell, text, header, narrow, wide, rest },
    };
  }

  function metricCell([mean, low, high]) {
    if (low === null || mean === null) return percent(mean);
    // Figure spaces keep points and signs in line.
    const half = element("span", { class: "half" },
      ` ± ${percent((high - low) / 2).padStart(4, "\u2007")}`);
    return element("span", {}, percent(mean), half);
  }

  function nameCell(row) {
    // On a narrow screen the columns of combiner and tier are gone, and stand here.
    const under = [row.combiner, row.tier].filter(Boolean).join(" · ");
    const name = row.hasPage
      ? element("a", { href: `entries/${row.id}.html` }, row.losses)
      : element("span", {}, row.losses);
    return element("span", {}, name,
      element("span", { class: "under" }, under));
  }

  function barCell(row) {
    const [mean, low, high] = row.intervals.slice(3 * lead, 3 * lead + 3);
    if (mean === null) return "–";
    const bar = element("span", { class: "bar", "aria-hidden": "true" });
    if (low !== null) {
      const range = element("span", { class: "range" });
      range.style.left = `${scale.place(low)}%`;
      range.style.width = `${scale.place(high) - scale.place(low)}%`;
      bar.append(range);
    }
    const point = element("span", { class: "point" });
    point.style.left = `${scale.place(mean)}%`;
    bar.append(point);
    const words = low === null ? "no interval" : `${percent(low)} to ${percent(high)}`;
    return element("span", { class: "barcell" }, bar, element("span", { class: "unseen" }, words));
  }

  const body = element("tbody");
  const heads = element("tr");
  const pager = element("nav", { class: "pager", "aria-label": `Pages of ${group.dataset}` });
  const status = element("span", { role: "status", "aria-live": "polite", class: "unseen" });
  const plot = element("div", { class: "plot" });
  const figure = element("figure", { class: "cost" },
    element("figcaption", {}, element("strong", {}, "Recall@1 against training time"),
      " mean of a trial, with 95 % intervals; the rows of the table"), plot);

  const table = core.createTable({
    data: group.rows,
    columns,
    state: {},
    onStateChange: () => {},
    renderFallbackValue: null,
    enableSortingRemoval: false,
    defaultColumn: { sortUndefined: "last" },
    getCoreRowModel: core.getCoreRowModel(),
    getSortedRowModel: core.getSortedRowModel(),
    getPaginationRowModel: core.getPaginationRowModel(),
    autoResetPageIndex: false,
  });
  let state = {
    ...table.initialState,
    sorting: [{ id: "rank", desc: false }],
    pagination: { pageIndex: 0, pageSize: 25 },
  };
  table.setOptions((options) => ({
    ...options,
    state,
    onStateChange(change) {
      state = typeof change === "function" ? change(state) : change;
      table.setOptions((before) => ({ ...before, state }));
      render();
    },
  }));

  for (const sorter of table.getAllLeafColumns()) {
    const { meta } = sorter.columnDef;
    const { title, full, bar } = meta;
    const head = element("th", { scope: "col", class: classes(meta), "data-column": sorter.id });
    if (bar) {
      head.append(title, element("span", { class: "scale", "aria-hidden": "true" },
        element("span", {}, scale.low), element("span", {}, scale.high)));
    } else {
      head.append(element("button", {
        type: "button",
        title: full === title ? null : full,
        click() {
          // Another order starts at its beginning.
          table.setPageIndex(0);
          sorter.toggleSorting();
          const desc = sorter.getIsSorted() === "desc";
          status.textContent = `Sorted by ${full}, ${desc ? "descending" : "ascending"}.`;
        },
      }, title, element("span", { class: "arrow", "aria-hidden": "true" })));
    }
    heads.append(head);
  }

  function classes({ text, narrow, wide, rest, bar }) {
    const names = { text, narrow, wide, rest, bars: bar };
    return Object.keys(names).filter((name) => names[name]).join(" ") || null;
  }

  function render() {
    const [sorted] = state.sorting;
    for (const head of heads.children) {
      const on = sorted && head.dataset.column === sorted.id;
      if (on) head.setAttribute("aria-sort", sorted.desc ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    body.replaceChildren(...table.getRowModel().rows.map(({ original: row }) => {
      const line = element("tr", {
        "data-entry": row.id, "data-kind": row.combiner === null ? "loss" : "combination",
      });
      for (const { meta } of columns) {
        const head = meta.header ? { scope: "row" } : {};
        line.append(element(meta.header ? "th" : "td",
          { ...head, class: classes(meta) }, meta.cell(row)));
      }
      return line;
    }));
    renderPager();
  }

  function renderPager() {
    const count = table.getPrePaginationRowModel().rows.length;
    const { pageIndex, pageSize } = state.pagination;
    pager.hidden = count <= 25;
    if (pager.hidden) return;
    const last = Math.max(0, Math.ceil(count / pageSize) - 1);
    const focused = pager.contains(document.activeElement) && document.activeElement.dataset.to;
    const button = (label, to, disabled) => element("button", {
      type: "button", "data-to": label, disabled, click: () => table.setPageIndex(to),
    }, label);
    const size = element("select", {
      change: (event) => table.setPagination({ pageIndex: 0, pageSize: Number(event.target.value) }),
    }, ...[25, 100, 500].map((n) => element("option", { value: n, selected: n === pageSize }, n)));
    pager.replaceChildren(
      element("span", { role: "status" },
        `Rows ${(pageIndex * pageSize + 1).toLocaleString("en")} to ` +
        `${Math.min(count, (pageIndex + 1) * pageSize).toLocaleString("en")} of ` +
        `${count.toLocaleString("en")}`),
      button("First", 0, pageIndex === 0),
      button("Previous", pageIndex - 1, pageIndex === 0),
      button("Next", pageIndex + 1, pageIndex >= last),
      button("Last", last, pageIndex >= last),
      element("label", {}, "Rows a page ", size),
    );
    // The button that was pressed is a new one now; at an end, its neighbour takes over.
    if (focused) {
      const same = pager.querySelector(`[data-to="${focused}"]`);
      (same.disabled ? pager.querySelector("button:not(:disabled)") : same)?.focus();
    }
  }

  const caption = element("caption", { class: "unseen" },
    `${group.dataset}: ${group.about}. ${group.rows.length} rows.`);
  const view = element("section", { class: "group", id, "aria-labelledby": `${id}-title`, tabindex: "-1" },
    element("h2", { id: `${id}-title` }, group.dataset),
    element("p", { class: "about" }, group.about),
    site.verdictList(group),
    element("div", { class: "scroll", role: "region", "aria-labelledby": `${id}-title`, tabindex: "0" },
      element("table", { class: "board" }, caption, element("thead", {}, heads), body)),
    pager,
    status,
    ...group.notes.slice(0, 8).map((note) => element("p", { class: "note" }, note)),
    group.notes.length > 8
      ? element("p", { class: "note" }, `and ${group.notes.length - 8} more notes on their entries' pages`)
      : null,
    figure,
  );

  let shown = group.rows;
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
    element: view,
    /** Show these rows of the group, from the first page. */
    show(rows) {
      shown = rows;
      state = { ...state, pagination: { ...state.pagination, pageIndex: 0 } };
      table.setOptions((options) => ({ ...options, data: rows, state }));
      render();
      if (plot.querySelector("svg")) site.drawCost(plot, shown, board, plot.clientWidth);
    },
  };

  /** From a little below the lowest value to a little above the highest, in whole percent. */
  function scaleOf(intervals) {
    const ends = intervals.flat().filter((value) => value !== null).map((value) => 100 * value);
    const low = Math.max(0, Math.floor(ends.reduce((a, b) => Math.min(a, b), 100)));
    const high = Math.min(100, Math.ceil(ends.reduce((a, b) => Math.max(a, b), 0)));
    const span = Math.max(high - low, 1);
    const place = (value) => Math.min(100, Math.max(0, ((100 * value - low) / span) * 100));
    return { low: `${low}`, high: `${low + span}`, place };
  }
};
