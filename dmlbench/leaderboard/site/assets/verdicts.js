// What a group's combinations have over their best single loss: a line each, which opens.
"use strict";

site.verdictList = function (group) {
  const { element } = site;
  const few = 4;
  const items = group.verdicts.map(([entry, outcome, brief, sentence]) => () =>
    element("li", { "data-outcome": outcome },
      element("details", {},
        element("summary", {}, element("span", { class: "outcome" }, outcome), " ", brief),
        element("p", {}, ...site.prose(sentence), " ",
          element("a", { href: `entries/${entry}.html` }, "See the entry")))));
  if (!items.length) return null;
  const list = element("ul", { class: "verdicts" }, ...items.slice(0, few).map((make) => make()));
  const title = element("h3", {}, "Combinations against their best single loss");
  if (items.length <= few) return element("div", {}, title, list);
  const more = element("button", {
    type: "button",
    click() {
      const added = items.slice(few).map((make) => make());
      list.append(...added);
      more.remove();
      added[0].querySelector("summary").focus();
    },
  }, `Show all ${items.length.toLocaleString("en")} verdicts`);
  return element("div", {}, title, list, more);
};
