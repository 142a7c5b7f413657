// What the reader looks for: the form, its state in the address, and the rows that fit.
"use strict";

site.filters = function (rows, groups, changed) {
  const { element } = site;
  const form = document.getElementById("filters");
  const text = document.getElementById("filter-text");
  const folded = document.getElementById("more-filters");
  const allMetrics = document.getElementById("all-metrics");
  const collator = new Intl.Collator("en", { numeric: true });
  // How a row answers each choice: one value, or several.
  const answers = {
    dataset: (row) => groups[row.group].dataset,
    backbone: (row) => groups[row.group].backbone,
    loss: (row) => row.lossNames,
    combiner: (row) => row.combinerName ?? "none: a loss alone",
    tier: (row) => row.tier.split(" ")[0],
  };
  const choices = {};
  for (const [name, answer] of Object.entries(answers)) {
    const select = document.getElementById(`filter-${name}`);
    const values = [...new Set(rows.flatMap(answer))].sort(collator.compare);
    select.disabled = values.length < 2;
    select.append(element("option", { value: "" }, select.disabled ? values[0] : "all"));
    for (const value of select.disabled ? [] : values) select.append(element("option", { value: `=${value}` }, value));
    choices[name] = select;
  }
  for (const row of rows) {
    const group = groups[row.group];
    row.searched = [row.losses, row.combiner, row.id, row.tier, group.dataset, group.about]
      .join(" ").toLowerCase();
  }

  function read() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    text.value = wanted.get("text") ?? "";
    for (const [name, select] of Object.entries(choices)) {
      select.value = wanted.has(name) ? `=${wanted.get(name)}` : "";
      // An address from an older site may name what is no longer there.
      if (select.selectedIndex < 0) select.value = "";
    }
    allMetrics.checked = wanted.get("metrics") === "all";
    folded.open = chosen().length > 0;
    count();
  }

  const chosen = () => Object.values(choices).filter((select) => select.value);

  /** How many filters are set, beside the word that unfolds them. */
  function count() {
    const number = chosen().length;
    document.getElementById("filters-set").textContent = number ? ` (${number})` : "";
  }

  function write() {
    const state = new URLSearchParams();
    if (text.value.trim()) state.set("text", text.value.trim());
    for (const [name, select] of Object.entries(choices)) {
      if (select.value) state.set(name, select.value.slice(1));
    }
    if (allMetrics.checked) state.set("metrics", "all");
    count();
    // Replaced, so that Back leaves the page instead of undoing letter by letter.
    history.replaceState(null, "", `#${state}`);
  }

  /** The rows that fit every choice and hold every word. */
  function fitting() {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const set = Object.entries(choices).filter(([, select]) => select.value);
    return rows.filter((row) =>
      words.every((word) => row.searched.includes(word)) &&
      set.every(([name, select]) => {
        const answer = answers[name](row);
        const wanted = select.value.slice(1);
        return Array.isArray(answer) ? answer.includes(wanted) : answer === wanted;
      }),
    );
  }

  const update = () => { write(); changed(); };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target !== allMetrics) update();
  });
  allMetrics.addEventListener("change", () => { write(); site.showAllMetrics(); });
  form.addEventListener("reset", () => setTimeout(() => { update(); site.showAllMetrics(); }));
  document.getElementById("copy-view").addEventListener("click", (event) =>
    site.copy(event.target, location.href));
  read();
  return { fitting, active: () => Boolean(text.value.trim()) || chosen().length > 0 };
};
