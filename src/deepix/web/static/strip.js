// The visitor's pictures, to go from one to the other.

import { $, make, show } from "./dom.js";
import { changed, isBusy, state } from "./state.js";

export function render() {
  const pictures = [...state.pictures.values()];
  const several = pictures.length + state.sending.length > 1;
  show($("strip"), several);
  const items = pictures.map((picture) => {
    const mark = isBusy(picture) ? "…" : picture.stage === "failed" ? "!" : picture.result ? "✓" : "";
    const button = make("button", { type: "button", title: picture.name }, `${picture.name} ${mark}`.trim());
    if (picture.id === state.current) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => {
      state.current = picture.id;
      state.error = null;
      changed();
    });
    return make("li", {}, button);
  });
  const coming = state.sending.map((name) => make("li", { className: "muted" }, name));
  const list = $("strip").querySelector("ul");
  const focused = [...list.children].findIndex((li) => li.contains(document.activeElement));
  list.replaceChildren(...items, ...coming);
  if (focused >= 0) list.children[focused]?.querySelector("button")?.focus();
}
