// What the pointer draws on the picture: a rectangle, or strokes of a brush, in pixels of the picture.

import * as api from "./api.js";
import { cellOf } from "./areas.js";
import { $, chosen, makeSvg, show } from "./dom.js";
import { currentScale, place } from "./stage.js";
import { changed, current, isBusy, work } from "./state.js";

let from = null;      // where a rectangle began
let frame = null;     // its shape
let stroke = null;    // the one that is drawn
let strokes = [];     // those that are there
let owner = null;     // the picture that they are on

const cell = () => cellOf($("cell").value);
const drawing = () => current()?.size && current().view === "areas" && !isBusy(current());

// From 3 to 150 pixels of the screen, evenly for the eye.
export const radius = () => (3 * 50 ** ($("radius").value / 100)) / currentScale();

export function start() {
  const overlay = $("overlay");
  overlay.addEventListener("pointerdown", begin);
  overlay.addEventListener("pointermove", go);
  overlay.addEventListener("pointerup", end);
  overlay.addEventListener("pointercancel", stop);
  addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
  for (const input of document.querySelectorAll('input[name="tool"]')) input.addEventListener("change", changed);
  $("use-paint").addEventListener("click", use);
  $("clear-paint").addEventListener("click", clear);
}

function begin(event) {
  const tool = chosen("tool");
  if (!drawing() || tool === "choose" || event.button !== 0) return;
  event.preventDefault();
  $("overlay").setPointerCapture(event.pointerId);
  if (tool === "rectangle") {
    from = place(event);
    frame = makeSvg("rect", { class: "frame" });
    $("overlay").append(frame);
    return;
  }
  const shape = makeSvg("path", { class: "paint" });
  stroke = { radius: radius(), points: [place(event)], shape };
  shape.setAttribute("stroke-width", 2 * stroke.radius);
  $("overlay").append(shape);
  follow();
}

function go(event) {
  if (from) {
    const [x, y, w, h] = box(event);
    for (const [name, value] of Object.entries({ x, y, width: w, height: h })) frame.setAttribute(name, value);
  } else if (stroke) {
    for (const each of event.getCoalescedEvents?.() ?? [event]) stroke.points.push(place(each));
    follow();
  }
}

function end(event) {
  const picture = current();
  if (from) {
    const marked = box(event);
    stop();
    if (marked[2] >= 4 && marked[3] >= 4) work(picture, () => api.mark(picture.id, { box: marked, cell: cell() }));
  } else if (stroke) {
    strokes.push(stroke);
    owner = picture;
    stroke = null;
    changed();
  }
}

function stop() {
  frame?.remove();
  stroke?.shape.remove();
  from = frame = stroke = null;
}

// The rectangle between where it began and an event, in whole pixels inside the picture.
function box(event) {
  const [width, height] = current().size;
  const to = place(event);
  const [x0, x1] = [from[0], to[0]].map((x) => Math.round(Math.min(Math.max(x, 0), width))).sort((a, b) => a - b);
  const [y0, y1] = [from[1], to[1]].map((y) => Math.round(Math.min(Math.max(y, 0), height))).sort((a, b) => a - b);
  return [x0, y0, x1 - x0, y1 - y0];
}

function follow() {
  const [first, ...rest] = stroke.points;
  const path = rest.length ? rest : [first];
  stroke.shape.setAttribute("d", `M${first.join(" ")}${path.map((p) => `L${p.join(" ")}`).join("")}`);
}

function use() {
  const picture = current();
  const painted = strokes.map(({ radius: r, points }) => ({ radius: r, points: points.map((p) => p.map((v) => Math.round(v * 10) / 10)) }));
  clear();
  work(picture, () => api.mark(picture.id, { strokes: painted, cell: cell() }));
}

function clear() {
  for (const each of strokes) each.shape.remove();
  strokes = [];
  changed();
}

export function render() {
  const picture = current();
  if (strokes.length && picture !== owner) clear();
  const tool = chosen("tool");
  const there = picture?.size && picture.view === "areas";
  show($("tools"), Boolean(there));
  show($("brush-size"), Boolean(there && tool === "brush"));
  show($("painted"), Boolean(there && strokes.length && !isBusy(picture)));
  $("overlay").dataset.tool = there ? tool : "none";
}
