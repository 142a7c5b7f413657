// The index page: reads the board, shows the groups that have fitting rows, a few at a time.
"use strict";

{
  const GROUPS_AT_ONCE = 6;
  const board = JSON.parse(document.getElementById("board").textContent);
  const rows = board.rows.map((values) =>
    Object.fromEntries(board.row.map((name, i) => [name, values[i]])));
  for (const group of board.groups) group.rows = [];
  for (const row of rows) board.groups[row.group].rows.push(row);

  const place = document.getElementById("groups");
  const count = document.getElementById("count");
  const more = document.getElementById("more-groups");
  const allMetrics = document.getElementById("all-metrics");
  const views = new Map();
  let limit = GROUPS_AT_ONCE;

  function show() {
    const fitting = new Map();
    const found = filters.fitting();
    for (const row of found) {
      if (!fitting.has(row.group)) fitting.set(row.group, []);
      fitting.get(row.group).push(row);
    }
    const chosen = [...fitting.keys()].sort((a, b) => a - b).slice(0, limit);
    for (const index of chosen) {
      if (!views.has(index)) views.set(index, site.groupView(board, board.groups[index]));
      views.get(index).show(fitting.get(index));
      // What was looked for is not left folded.
      if (filters.active()) views.get(index).open();
    }
    place.replaceChildren(...chosen.map((index) => views.get(index).element));
    const number = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
    count.textContent = found.length
      ? `${filters.active() ? "Found " : ""}${number(found.length, "row", "rows")} in ` +
        `${number(fitting.size, "table", "tables")}`
      : "No rows match. Try clearing a filter.";
    const left = fitting.size - chosen.length;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(left, GROUPS_AT_ONCE)} more of ${left} tables`;
  }

  more.addEventListener("click", () => {
    const next = place.childElementCount;
    limit += GROUPS_AT_ONCE;
    show();
    place.children[next]?.focus();
  });
  site.showAllMetrics = () => document.body.classList.toggle("all-metrics", allMetrics.checked);

  // An entry's page comes back to its group.
  const target = board.groups.findIndex((group) => location.hash === `#group-${group.key}`);
  const filters = site.filters(rows, board.groups, () => { limit = GROUPS_AT_ONCE; show(); });
  if (target >= 0) limit = Math.max(limit, target + 1);
  show();
  performance.mark("board-shown");
  if (target >= 0) {
    views.get(target).open();
    views.get(target).element.scrollIntoView();
  }
  site.showAllMetrics();
}
