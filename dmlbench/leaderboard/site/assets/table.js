// A group's table: headings that sort, and the rows of one page.
"use strict";

{
  const { element } = site;
  const FIRST = { sorting: [{ id: "rank", desc: false }] };

  function classes({ text, narrow, wide, rest, bar }) {
    const names = { text, narrow, wide, rest, bars: bar };
    return Object.keys(names).filter((name) => names[name]).join(" ") || null;
  }

  /** A table of table-core that calls `changed` after every change of order or page. */
  function tableOf(rows, columns, changed) {
    const core = window.TableCore;
    const table = core.createTable({
      data: rows,
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
      ...table.initialState, ...FIRST, pagination: { pageIndex: 0, pageSize: site.PAGE_SIZE },
    };
    const set = (change) => table.setOptions((options) => ({ ...options, ...change, state }));
    set({
      onStateChange(change) {
        state = typeof change === "function" ? change(state) : change;
        set({});
        changed();
      },
    });
    const show = (data) => {
      state = { ...state, pagination: { ...state.pagination, pageIndex: 0 } };
      set({ data });
      changed();
    };
    return { table, show };
  }

  function heading(table, column, scale, status) {
    const { meta } = column.columnDef;
    const head = element("th", { scope: "col", class: classes(meta), "data-column": column.id });
    if (meta.bar) {
      head.append(...site.barHead(meta.title, scale));
      return head;
    }
    const click = () => {
      // Another order starts at its beginning.
      table.setPageIndex(0);
      column.toggleSorting();
      const order = column.getIsSorted() === "desc" ? "descending" : "ascending";
      status.textContent = `Sorted by ${meta.full}, ${order}.`;
    };
    const title = meta.full === meta.title ? null : meta.full;
    head.append(
      element("button", { type: "button", class: "sort", title, click },
        meta.title, element("span", { class: "arrow", "aria-hidden": "true" })),
      site.tip(column.id, meta.full) ?? "");
    return head;
  }

  function line(row, columns) {
    const kind = row.combiner === null ? "loss" : "combination";
    return element("tr", { "data-entry": row.id, "data-kind": kind }, ...columns.map(({ meta }) =>
      element(meta.header ? "th" : "td",
        { scope: meta.header ? "row" : null, class: classes(meta) }, meta.cell(row))));
  }

  function markSorted(heads, [sorted]) {
    for (const head of heads.children) {
      if (sorted && head.dataset.column === sorted.id) {
        head.setAttribute("aria-sort", sorted.desc ? "descending" : "ascending");
      } else {
        head.removeAttribute("aria-sort");
      }
    }
  }

  /** The table of a group as elements, and `show(rows)`, which shows other rows of it. */
  site.groupTable = function (group, columns, scale) {
    const body = element("tbody");
    const heads = element("tr");
    const status = element("span", { role: "status", "aria-live": "polite", class: "unseen" });
    const { table, show } = tableOf(group.rows, columns, () => {
      markSorted(heads, table.getState().sorting);
      body.replaceChildren(
        ...table.getRowModel().rows.map(({ original }) => line(original, columns)));
      pager.render();
    });
    const pager = site.pager(table, group.dataset);
    heads.append(
      ...table.getAllLeafColumns().map((column) => heading(table, column, scale, status)));
    const caption = element("caption", { class: "unseen" },
      `${group.dataset}: ${group.about}. ${group.rows.length} rows.`);
    return {
      element: element("table", { class: "board" }, caption, element("thead", {}, heads), body),
      pager: pager.element,
      status,
      show,
    };
  };
}
