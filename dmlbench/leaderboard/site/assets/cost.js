// Recall@1 of rows against what their training cost, in seconds of one kind.
"use strict";

site.drawCost = function (place, rows, board, width, kind) {
  const { percent } = site;
  const at = 3 * board.metrics.findIndex((metric) => metric.id === "recall_at_1");
  const time = kind.words[0].toUpperCase() + kind.words.slice(1);
  const points = rows
    .map((row) => ({
      id: row.id,
      name: row.name,
      short: row.combiner === null ? row.losses : `${row.combiner} of ${row.lossNames.length}`,
      kind: row.combiner === null ? "one loss" : "combination",
      seconds: row.spent[kind.at],
      mean: row.intervals[at],
      low: row.intervals[at + 1],
      high: row.intervals[at + 2],
    }))
    .filter((point) => point.seconds > 0 && point.mean !== null);
  if (!points.length) {
    place.replaceChildren(site.element("p", { class: "dim" }, "None of these rows has both."));
    return;
  }
  const few = points.length <= 60;
  const times = points.map((point) => point.seconds);
  const shortest = Math.min(...times);
  const longest = Math.max(...times);
  const [unit, divisor] = longest < 100 ? ["s", 1] : longest < 6000 ? ["min", 60] : ["h", 3600];
  for (const point of points) {
    point.cost = point.seconds / divisor;
    point.words = `${point.name}: Recall@1 ${percent(point.mean)}` +
      (point.low === null ? "" : ` (${percent(point.low)} to ${percent(point.high)})`) +
      `, ${site.seconds(point.seconds)} ${kind.unit}`;
  }
  const log = longest / shortest > 8;
  // At least half of the longest time is in view, so that small differences look small.
  const span = Math.max(1.3 * (longest - shortest), 0.5 * longest);
  const from = Math.max(0, (shortest + longest - span) / 2);
  const clipped = (value) => 100 * Math.min(1, Math.max(0, value));
  const colour = (point) => (point.kind === "one loss" ? "var(--single)" : "var(--combined)");
  const height = Math.max(240, Math.min(360, Math.round(width * 0.5)));
  const ranges = few ? points.filter((point) => point.low !== null) : [];
  const base = {
    width, height,
    marginLeft: 44, marginBottom: 40, marginTop: 30, marginRight: 16,
    style: { background: "none", color: "var(--muted)", fontSize: "12px", overflow: "visible" },
    x: {
      label: `${time} per trial (${unit}) →`,
      ...(log
        ? { type: "log", ticks: 4, tickFormat: "~g", nice: true, inset: 12 }
        : { domain: [from / divisor, (from + span) / divisor] }),
    },
    y: { label: "↑ Recall@1 (%)", grid: true, nice: true, ticks: 6 },
  };
  const marks = [
    Plot.ruleX(ranges, {
      x: "cost", y1: (d) => clipped(d.low), y2: (d) => clipped(d.high), stroke: colour,
      strokeWidth: 1.5, strokeOpacity: 0.55, ariaHidden: "true",
    }),
    Plot.dot(points, {
      x: "cost", y: (d) => 100 * d.mean, fill: colour, r: few ? 5 : 2.5,
      symbol: (d) => (d.kind === "one loss" ? "circle" : "diamond2"),
      fillOpacity: few ? 1 : 0.6,
      ...(few ? { href: (d) => `entries/${d.id}.html`, ariaLabel: "words" } : {}),
    }),
    Plot.tip(points, Plot.pointer({
      x: "cost", y: (d) => 100 * d.mean, title: "words", fill: "var(--page)", stroke: "var(--line)",
      textPadding: 8, lineWidth: 28, ariaHidden: "true",
    })),
  ];
  // Colour and shape are given as they are, so the scales must not make their own of them.
  const options = { ...base, color: { type: "identity" }, symbol: { type: "identity" }, marks };
  let chart = Plot.plot(options);
  if (points.length <= 14) chart = Plot.plot({ ...options, marks: [...marks, ...labels(chart)] });
  // A link is told by its own name, not by that of what it holds.
  for (const link of chart.querySelectorAll("a")) {
    link.setAttribute("aria-label", link.querySelector("[aria-label]").getAttribute("aria-label"));
  }
  const best = points.reduce((a, b) => (b.mean > a.mean ? b : a));
  chart.setAttribute("role", few ? "group" : "img");
  chart.setAttribute("aria-label",
    `Recall@1 against ${time.toLowerCase()} of ${points.length} rows. Highest: ${best.words}. ` +
    "The table above has the same numbers.");
  place.replaceChildren(chart, key());

  /** Names beside the points, each where it covers no other name and no point, or nowhere. */
  function labels(drawn) {
    const [x, y] = [drawn.scale("x"), drawn.scale("y")];
    const spots = points.map((point) => [x.apply(point.cost), y.apply(100 * point.mean)]);
    const taken = spots.map(([left, top]) => [left - 6, top - 6, left + 6, top + 6]);
    const free = (box) => box[0] > 44 && box[2] < width && box[1] > 22 && box[3] < height - 34 &&
      !taken.some((t) => box[0] < t[2] && t[0] < box[2] && box[1] < t[3] && t[1] < box[3]);
    const found = [];
    points.forEach((point, i) => {
      const whole = point.name.length > 32 ? point.short : point.name;
      const name = whole.length > 44 ? `${whole.slice(0, 43)}…` : whole;
      const size = 6.3 * name.length;
      const [left, top] = spots[i];
      for (const [anchor, dx, dy] of [
        ["start", 9, 0], ["end", -9, 0], ["start", 9, -13], ["start", 9, 13],
        ["end", -9, -13], ["end", -9, 13],
      ]) {
        const start = anchor === "start" ? left + dx : left + dx - size;
        const box = [start, top + dy - 7, start + size, top + dy + 7];
        if (!free(box)) continue;
        taken.push(box);
        found.push(Plot.text([name], {
          x: [point.cost], y: [100 * point.mean], dx, dy, textAnchor: anchor, fill: "var(--ink)",
          stroke: "var(--page)", strokeWidth: 3, ariaHidden: "true",
        }));
        break;
      }
    });
    return found;
  }

  function key() {
    const { element } = site;
    const item = (kind, words) => element("span", {}, element("i", { class: kind }), ` ${words}`);
    const others = rows.length - points.length;
    const notes = [
      few ? "" : "Intervals are left out above 60 rows.",
      others ? `Not drawn: ${others} without Recall@1 or ${time.toLowerCase()}.` : "",
    ].filter(Boolean).join(" ");
    return element("p", { class: "key" }, item("single", "a loss alone"),
      item("combined", "a combination"), notes);
  }
};
