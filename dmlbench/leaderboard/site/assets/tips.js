// Explanations beside words: of what the legend says, shown by pointer, keyboard and touch.
"use strict";

{
  const { element } = site;
  const tip = element("div", { id: "tip", role: "tooltip", popover: "manual" });
  document.getElementById("main").append(tip);
  let shownFor = null;

  function show(word) {
    const text = document.getElementById(`term-${word.dataset.tip}`);
    if (!text || shownFor === word) return;
    shownFor = word;
    const title = document.getElementById(`word-${word.dataset.tip}`);
    const body = text.cloneNode(true);
    for (const one of [body, ...body.querySelectorAll("[id]")]) one.removeAttribute("id");
    tip.replaceChildren(element("strong", {}, `${title.textContent}:`), " ", ...body.childNodes);
    tip.showPopover();
    const at = word.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = tip;
    const left = Math.min(Math.max(8, at.left), innerWidth - width - 8);
    // Below the word, or above it where there is no room below.
    const below = at.bottom + 6 + height <= innerHeight || at.top < height + 6;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${below ? at.bottom + 6 : at.top - 6 - height}px`;
  }

  function hide() {
    if (!shownFor) return;
    shownFor = null;
    tip.hidePopover();
  }

  const wordOf = (event) => event.target.closest?.("[data-tip]");
  let leaving = 0;
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    clearTimeout(leaving);
    if (wordOf(event)) show(wordOf(event));
    // The tip itself may be pointed at, to read or scroll it.
    else if (!tip.contains(event.target)) leaving = setTimeout(hide, 200);
  });
  document.addEventListener("focusin", (event) => {
    if (wordOf(event)?.matches(":focus-visible")) show(wordOf(event));
    else if (!tip.contains(event.target)) hide();
  });
  // By touch a word is tapped; anywhere else, a tap closes.
  document.addEventListener("click", (event) => {
    if (wordOf(event)) show(wordOf(event));
    else if (!tip.contains(event.target)) hide();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
  document.addEventListener("scroll", (event) => {
    if (event.target !== tip) hide();
  }, true);

  /** A button that explains the word `name`, which the legend has under `id`; null where not. */
  site.tip = function (id, name) {
    if (!document.getElementById(`term-${id}`)) return null;
    return element("button", {
      type: "button", class: "tip", "data-tip": id, "aria-label": `What is ${name}?`,
      "aria-describedby": `term-${id}`,
    });
  };

  /** A word that is its own explanation's button. */
  site.word = function (id, text) {
    return element("button", {
      type: "button", class: "word", "data-tip": id, "aria-describedby": `term-${id}`,
    }, text);
  };
}
