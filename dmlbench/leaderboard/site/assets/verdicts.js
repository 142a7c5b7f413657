// What a group's combinations have over their best single loss, in words; many are shown on demand.
"use strict";

site.verdictList = function (group) {
  const { element } = site;
  const few = 4;
  const items = group.verdicts.map(([entry, outcome, sentence]) => () =>
    element("li", { "data-outcome": outcome },
      element("span", { class: "outcome" }, outcome),
      element("span", {}, sentence, " ",
        element("a", { href: `entries/${entry}.html` }, "See the entry"))));
  if (!items.length) return null;
  const list = element("ul", { class: "verdicts" }, ...items.slice(0, few).map((make) => make()));
  if (items.length <= few) return list;
  const more = element("button", {
    type: "button",
    click() {
      const added = items.slice(few).map((make) => make());
      list.append(...added);
      more.remove();
      added[0].querySelector("a").focus();
    },
  }, `Show all ${items.length.toLocaleString("en")} verdicts`);
  return element("div", {}, list, more);
};
