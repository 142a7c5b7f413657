// Elements whose content is always text: nothing from an entry is ever read as markup.
"use strict";

const loading = {};

window.site = {
  /** An element with attributes and children; a child that is no node becomes text. */
  element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (typeof value === "function") made.addEventListener(key, value);
      else if (value === true) made.setAttribute(key, "");
      else if (value !== false && value !== null && value !== undefined) {
        made.setAttribute(key, value);
      }
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  },

  /** Text as nodes, with what is between backticks as code. */
  prose(text) {
    return text.split(/`([^`]*)`/)
      .map((part, i) => (i % 2 ? site.element("code", {}, part) : part));
  },

  /** Load scripts, one after the other; what was asked for before is not loaded again. */
  async load(...files) {
    for (const file of files) {
      loading[file] ??= new Promise((done, failed) =>
        document.head.append(site.element("script", { src: file, load: done, error: failed })));
      await loading[file];
    }
  },

  /** Call `draw` with a width when an element is first seen, and when its width changes. */
  whenSeen(element, draw) {
    let width = 0;
    const resized = new ResizeObserver(() => {
      const now = Math.round(element.clientWidth);
      if (now > 0 && now !== width) draw((width = now));
    });
    const seen = new IntersectionObserver((found) => {
      if (found.some((one) => one.isIntersecting)) {
        seen.disconnect();
        resized.observe(element);
      }
    }, { rootMargin: "300px" });
    seen.observe(element);
  },

  /** Copy text, and say on the button what became of it; `shown`: the element that has the text. */
  async copy(button, text, shown = null) {
    const label = button.textContent;
    if (button.dataset.busy) return;
    button.dataset.busy = "yes";
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // A page opened from a file may not reach the clipboard; selecting works everywhere.
      if (shown) getSelection().selectAllChildren(shown);
      button.textContent = shown ? "Selected" : "It is in the address bar";
    }
    setTimeout(() => {
      button.textContent = label;
      delete button.dataset.busy;
    }, 2000);
  },

  seconds(value) {
    if (value === null) return "–";
    if (value < 59.95) return `${value.toFixed(1)} s`;
    return value < 3597 ? `${(value / 60).toFixed(1)} min` : `${(value / 3600).toFixed(1)} h`;
  },
};

{
  // Rounds as Python does, so that a number reads the same here and on the terminal.
  const format = new Intl.NumberFormat("en", {
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
    roundingMode: "halfEven",
    useGrouping: false,
  });
  site.percent = (fraction) => (fraction === null ? "–" : format.format(100 * fraction));
}

for (const button of document.querySelectorAll("[data-copies]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const text = document.getElementById(button.dataset.copies);
    site.copy(button, text.textContent, text);
  });
}
