// The pages of a long table.
"use strict";

{
  const SIZES = [25, 100, 500];
  site.PAGE_SIZE = SIZES[0];

  /** A navigation for a table of table-core; `render` brings it up to date. */
  site.pager = function (table, name) {
    const { element } = site;
    const pager = element("nav", { class: "pager", "aria-label": `Pages of ${name}` });

    const button = (label, to, disabled) => element("button", {
      type: "button", "data-to": label, disabled, click: () => table.setPageIndex(to),
    }, label);

    function choice(pageSize) {
      const change = (event) =>
        table.setPagination({ pageIndex: 0, pageSize: Number(event.target.value) });
      return element("select", { change },
        ...SIZES.map((n) => element("option", { value: n, selected: n === pageSize }, n)));
    }

    function words(count, { pageIndex, pageSize }) {
      const number = (n) => n.toLocaleString("en");
      const last = Math.min(count, (pageIndex + 1) * pageSize);
      return `Rows ${number(pageIndex * pageSize + 1)} to ${number(last)} of ${number(count)}`;
    }

    function render() {
      const count = table.getPrePaginationRowModel().rows.length;
      pager.hidden = count <= SIZES[0];
      if (pager.hidden) return;
      const { pageIndex, pageSize } = table.getState().pagination;
      const last = Math.max(0, Math.ceil(count / pageSize) - 1);
      const focused = pager.contains(document.activeElement) && document.activeElement.dataset.to;
      pager.replaceChildren(
        element("span", { role: "status" }, words(count, { pageIndex, pageSize })),
        button("First", 0, pageIndex === 0),
        button("Previous", pageIndex - 1, pageIndex === 0),
        button("Next", pageIndex + 1, pageIndex >= last),
        button("Last", last, pageIndex >= last),
        element("label", {}, "Rows a page ", choice(pageSize)),
      );
      if (focused) refocus(focused);
    }

    // The button that was pressed is a new one now; at an end, its neighbour takes over.
    function refocus(label) {
      const same = pager.querySelector(`[data-to="${label}"]`);
      (same.disabled ? pager.querySelector("button:not(:disabled)") : same)?.focus();
    }

    return { element: pager, render };
  };
}
