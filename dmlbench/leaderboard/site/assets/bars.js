// Intervals as bars, on one scale per group.
"use strict";

{
  // Among so few rows each is of interest, and only what is far from all others ends at the edge.
  const FEW_ROWS = 20;
  const ascending = (values) => [...values].sort((a, b) => a - b);

  /**
   * A scale in whole percent, from the highest end down to as far below the median of the means as
   * the highest mean is above it, or four times as far among few rows. What is worse ends at the
   * edge, and so do intervals far wider than the others: rows that are far behind do not squeeze
   * those that are compared at the top.
   */
  site.barScale = function (intervals) {
    const known = intervals.filter(([mean]) => mean !== null)
      .map((values) => values.map((value) => (value === null ? null : 100 * value)));
    const means = ascending(known.map(([mean]) => mean));
    const halves = ascending(known.filter(([, low]) => low !== null).map(([m, low]) => m - low));
    const middle = (sorted) => sorted[Math.floor(sorted.length / 2)] ?? 0;
    const top = means.at(-1) ?? 100;
    const times = means.length < FEW_ROWS ? 4 : 1;
    const reach = Math.max(times * (top - middle(means)), 2 * middle(halves), 0.5);
    const inside = known.flat().filter((value) => value !== null && (means.length < 4 ||
      (value >= middle(means) - reach && value <= top + 2 * middle(halves))));
    const low = Math.max(0, Math.floor(inside.reduce((a, b) => Math.min(a, b), top)));
    const high = Math.max(low + 1, Math.min(100, Math.ceil(inside.reduce((a, b) => Math.max(a, b), top))));
    const place = (value) =>
      Math.min(100, Math.max(0, ((100 * value - low) / (high - low)) * 100));
    return {
      low: `${low}`,
      high: `${high}`,
      place,
      best: means.length > 1 ? place(means.at(-1) / 100) : null,
      isBelow: (value) => 100 * value < low,
      isAbove: (value) => 100 * value > high,
    };
  };

  /** "first" where no row is significantly better, "behind" where one is, "unranked". */
  site.place = function (row) {
    if (row.rank[1] === null) return "unranked";
    return parseInt(row.rank[0], 10) === 1 ? "first" : "behind";
  };

  /** A mean as a point and its interval as a bar, and in words for those who do not see it. */
  site.barCell = function ([mean, low, high], scale, place) {
    const { element, percent } = site;
    if (mean === null) return "–";
    const bar = element("span", { class: "bar", "aria-hidden": "true", "data-place": place });
    const mark = (name, at) => {
      const made = element("span", { class: name });
      made.style.left = `${at}%`;
      bar.append(made);
      return made;
    };
    if (scale.best !== null) mark("best", scale.best);
    if (low !== null) {
      mark("range", scale.place(low)).style.width = `${scale.place(high) - scale.place(low)}%`;
    }
    if (scale.isBelow(mean)) bar.append(element("span", { class: "off left" }, "◂"));
    else mark("point", scale.place(mean));
    if (low !== null && scale.isBelow(low) && !scale.isBelow(mean)) {
      bar.append(element("span", { class: "off left" }, "◂"));
    }
    if (high !== null && scale.isAbove(high)) {
      bar.append(element("span", { class: "off right" }, "▸"));
    }
    const words = low === null ? "no interval" : `${percent(low)} to ${percent(high)}`;
    return element("span", { class: "barcell" }, bar, element("span", { class: "unseen" }, words));
  };

  /** The heading of the bars: the ends of their scale. */
  site.barHead = function (title, scale) {
    const { element } = site;
    return [title, site.tip("interval", "this strip"),
      element("span", { class: "scale", "aria-hidden": "true" },
        element("span", {}, scale.low), element("span", {}, scale.high))];
  };
}
