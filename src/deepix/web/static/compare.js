// The slider between before and after: the layers above are cut where its thumb stands.

import { $, show } from "./dom.js";
import { onMove } from "./stage.js";
import { current } from "./state.js";

const THUMB = 44; // CSS pixels, as in the style sheet

export function start() {
  $("split").addEventListener("input", cut);
  onMove(cut);
}

function cut() {
  const above = document.querySelectorAll('.layer[data-view="after"], .layer[data-view="refined"]');
  if (current()?.view !== "compare") {
    for (const layer of above) layer.style.clipPath = "";
    return;
  }
  const scroller = $("scroller");
  const width = Math.min(scroller.clientWidth, $("sheet").clientWidth);
  const left = $("sheet").offsetLeft;
  const at = THUMB / 2 + ($("split").value / 1000) * (width - THUMB);
  $("split").style.left = `${left}px`;
  $("split").style.width = `${width}px`;
  $("split").style.height = `${scroller.clientHeight}px`;
  for (const layer of above) layer.style.clipPath = `inset(0 0 0 ${scroller.scrollLeft + at}px)`;
  const share = $("split").value / 10;
  $("split").setAttribute("aria-valuetext", `${share.toFixed(0)} % as it was`);
}

export function render() {
  const comparing = current()?.view === "compare" && current().size !== null;
  show($("split"), comparing);
  for (const tag of document.querySelectorAll(".tag")) show(tag, comparing);
  cut();
}
