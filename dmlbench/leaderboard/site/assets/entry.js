// An entry's page: its charts, and the button that copies its command.
"use strict";

{
  const charts = JSON.parse(document.getElementById("course-data").textContent);
  const colours = Array.from({ length: 8 }, (_, i) => `var(--series-${i + 1})`);
  const dashes = [null, "7 3", "2 3", "9 3 2 3"];
  // Losses keep their colour from chart to chart; objective and validation have the ink's.
  const names = charts.flatMap((chart) => chart.lines.map((line) => line.name)).filter(Boolean);
  const order = [...new Set(names)];
  const colourOf = (name) =>
    order.includes(name) ? colours[order.indexOf(name) % colours.length] : "var(--ink)";
  const dashOf = (name) => dashes[Math.max(0, order.indexOf(name)) % dashes.length];

  function draw(place, chart, width) {
    const marks = [];
    for (const { name, trials, mean } of chart.lines) {
      const stroke = colourOf(name || chart.title);
      for (const { points, failed } of trials) {
        marks.push(Plot.line(points, {
          stroke, strokeWidth: 1, strokeOpacity: 0.45, strokeDasharray: failed ? "1 3" : null,
        }));
      }
      marks.push(Plot.line(mean, {
        stroke, strokeWidth: 2.25, strokeDasharray: name ? dashOf(name) : null,
      }));
      if (mean.length === 1) marks.push(Plot.dot(mean, { fill: stroke }));
    }
    marks.push(Plot.dot(chart.best, {
      fill: "var(--combined)", stroke: "var(--page)", symbol: "star", r: 5,
    }));
    const epochs = chart.lines.flatMap((line) => line.trials.flatMap((t) => t.points.map((p) => p[0])));
    const most = Math.max(...epochs, 1);
    const svg = Plot.plot({
      width, height: 210,
      marginLeft: 46, marginBottom: 34, marginTop: 10, marginRight: 12,
      style: { background: "none", color: "var(--muted)", fontSize: "12px" },
      x: { label: "epoch →", domain: [Math.min(...epochs, most - 1), most],
           ticks: Math.min(most, 8), tickFormat: (e) => (Number.isInteger(e) ? `${e}` : "") },
      y: { label: null, grid: true, nice: true, ticks: 5, zero: chart.lines.some((line) => line.name) },
      marks,
    });
    svg.setAttribute("aria-hidden", "true");
    const key = chart.lines.filter((line) => line.name).map((line) => {
      const swatch = Plot.plot({
        width: 26, height: 10, margin: 0, axis: null,
        x: { domain: [0, 1] }, y: { domain: [0, 1] },
        marks: [Plot.line([[0, 0.5], [1, 0.5]], {
          stroke: colourOf(line.name), strokeWidth: 2.25, strokeDasharray: dashOf(line.name),
        })],
      });
      swatch.setAttribute("aria-hidden", "true");
      return site.element("span", {}, swatch, ` ${line.name}`);
    });
    place.replaceChildren(svg, ...(key.length ? [site.element("p", { class: "key" }, ...key)] : []));
  }

  for (const figure of document.querySelectorAll("[data-chart]")) {
    const chart = charts[Number(figure.dataset.chart)];
    const place = figure.querySelector(".plot");
    site.whenSeen(place, (width) => draw(place, chart, width));
  }
}
