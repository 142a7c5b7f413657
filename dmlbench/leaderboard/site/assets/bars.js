// Intervals as bars, on one scale per group.
"use strict";

/** From a little below the lowest value to a little above the highest, in whole percent. */
site.barScale = function (intervals) {
  const ends = intervals.flat().filter((value) => value !== null).map((value) => 100 * value);
  const low = Math.max(0, Math.floor(ends.reduce((a, b) => Math.min(a, b), 100)));
  const high = Math.min(100, Math.ceil(ends.reduce((a, b) => Math.max(a, b), 0)));
  const span = Math.max(high - low, 1);
  const place = (value) => Math.min(100, Math.max(0, ((100 * value - low) / span) * 100));
  return { low: `${low}`, high: `${low + span}`, place };
};

/** A mean as a point and its interval as a bar, and in words for those who do not see it. */
site.barCell = function ([mean, low, high], scale) {
  const { element, percent } = site;
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
};

/** The heading of the bars: the ends of their scale. */
site.barHead = function (title, scale) {
  const { element } = site;
  return [title, element("span", { class: "scale", "aria-hidden": "true" },
    element("span", {}, scale.low), element("span", {}, scale.high))];
};
