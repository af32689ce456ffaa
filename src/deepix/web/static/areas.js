// The areas: drawn over the picture, and listed with what is known of each.

import * as api from "./api.js";
import { $, chosen as selected, make, makeSvg, show } from "./dom.js";
import { currentScale, lookAt, onMove } from "./stage.js";
import { attempt, changed, choose, current, isBusy, work } from "./state.js";

const FINEST = 5; // CSS pixels of cells whose lines can be told apart

let drawn = "";
const rows = new Map(); // by picture and area

const percent = (share) => `${Math.floor(share * 100)} %`;
const size = ([, , w, h]) => (Math.abs(w - h) < 0.01 ? number(w) : `${number(w)} × ${number(h)}`);
const number = (value) => String(Math.round(value * 100) / 100);

export function start() {
  onMove(lines);
  $("overlay").addEventListener("click", (event) => {
    const shape = event.target.closest("[data-area]");
    const picture = current();
    if (!shape || !picture || selected("tool") !== "choose" || isBusy(picture)) return;
    const id = Number(shape.dataset.area);
    choose(picture, id, !picture.chosen.has(id));
  });
  $("restore").addEventListener("click", () => {
    const picture = current();
    if (!picture || !isPossible(picture)) return;
    work(picture, () => api.restore(picture.id, [...picture.chosen], picture.cellValue || null));
  });
  $("cell-value").addEventListener("change", () => {
    const picture = current();
    if (picture) picture.cellValue = $("cell-value").value;
  });
  $("numbers").addEventListener("submit", (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.target));
    const box = ["x", "y", "width", "height"].map((name) => Number(values[name]));
    const picture = current();
    work(picture, () => api.mark(picture.id, { box, cell: cellOf(values.cell) }));
  });
}

export const cellOf = (text) => (text === "" || text === undefined ? null : Number(text));

const isPossible = (picture) => !isBusy(picture) && picture.chosen.size > 0;

export function render() {
  const picture = current();
  if (!picture?.size) {
    $("overlay").replaceChildren();
    $("areas").replaceChildren();
    drawn = "";
    return;
  }
  draw(picture);
  list(picture);
  const busy = isBusy(picture);
  const count = picture.chosen.size;
  // not "disabled", which would take the keyboard's place in the page away while something is done
  if (isPossible(picture)) $("restore").removeAttribute("aria-disabled");
  else $("restore").setAttribute("aria-disabled", "true");
  $("cell-value").disabled = busy;
  if (document.activeElement !== $("cell-value")) $("cell-value").value = picture.cellValue;
  const again = picture.result && String([...picture.chosen].sort()) === String([...picture.result.areas].sort());
  $("restore").textContent = `Restore ${count === 1 ? "1 area" : count ? `${count} areas` : ""}${again ? " again" : ""}`;
  $("restore").classList.toggle("primary", !again);
  const empty = picture.areas.length === 0 && !busy;
  show($("none"), empty);
  $("none").textContent = "Nothing pixelated was found. Mark what is pixelated, if you see it.";
}

function draw(picture) {
  const key = JSON.stringify([picture.id, picture.version, [...picture.chosen], picture.view]);
  if (key === drawn) return;
  drawn = key;
  const shapes = picture.view === "areas" ? picture.areas.map((area, i) => shape(picture, area, i + 1)) : [];
  const paint = $("overlay").querySelectorAll(".paint, .frame");
  $("overlay").replaceChildren(...shapes, ...paint);
  lines();
}

// Draw the lines between cells only where they would not run into each other.
function lines() {
  for (const path of $("overlay").querySelectorAll("[data-cell]")) {
    path.classList.toggle("fine", path.dataset.cell * currentScale() < FINEST);
  }
}

function shape(picture, area, count) {
  const [gx, gy, gw, gh] = area.grid;
  const [x, y] = area.box;
  const kind = picture.chosen.has(area.id) ? "chosen" : area.sure ? "left" : "unsure";
  const pattern = `grid-${picture.id}-${area.id}`;
  return makeSvg("g", { "data-area": area.id, class: `area ${kind}` },
    makeSvg("pattern", { id: pattern, x: gx, y: gy, width: gw, height: gh, patternUnits: "userSpaceOnUse" },
      makeSvg("path", { d: `M0 0V${gh}M0 0H${gw}`, class: "grid" })),
    makeSvg("path", { d: area.inside, class: "inside" }),
    makeSvg("path", { d: area.inside, class: "cells", fill: `url(#${pattern})`, "data-cell": Math.min(gw, gh) }),
    makeSvg("path", { d: area.edges, class: "edge under" }),
    makeSvg("path", { d: area.edges, class: "edge" }),
    label(x, y, `${count} · ${size(area.grid)} px · ${percent(area.confidence)}`));
}

function label(x, y, words) {
  const text = makeSvg("text", { x, y, class: "label" });
  text.append(words);
  return text;
}

function list(picture) {
  const items = picture.areas.map((area, i) => {
    const key = `${picture.id}/${area.id}`;
    if (!rows.has(key)) rows.set(key, row(picture, area.id));
    const item = rows.get(key);
    fill(item, picture, area, i + 1);
    return item;
  });
  const list_ = $("areas");
  if (items.length !== list_.children.length || items.some((item, i) => list_.children[i] !== item)) list_.replaceChildren(...items);
}

function row(picture, id) {
  const check = make("input", { type: "checkbox", id: `take-${picture.id}-${id}` });
  check.addEventListener("change", () => choose(picture, id, check.checked));
  const cell = make("input", { type: "number", min: 2, inputMode: "numeric", className: "cell" });
  cell.addEventListener("change", () => work(picture, () => api.refit(picture.id, id, cellOf(cell.value))));
  const look = make("button", { type: "button", className: "quiet look" }, "100 %");
  look.addEventListener("click", () => {
    lookAt(picture.areas.find((a) => a.id === id).box);
    changed();
  });
  const away = make("button", { type: "button", className: "quiet away" }, "Remove");
  away.addEventListener("click", () => attempt(async () => {
    await api.unmark(picture.id, id);
    Object.assign(picture, await api.tell(picture.id));
    picture.chosen.delete(id);
  }));
  const name = make("label", { htmlFor: check.id });
  return make("li", {}, make("div", { className: "row" }, check, name),
    make("div", { className: "row more" }, make("label", {}, "Cells ", cell, " px"), look, away));
}

function fill(item, picture, area, count) {
  const [check, name] = item.children[0].children;
  const [field, look, away] = item.children[1].children;
  const busy = isBusy(picture);
  const [, , w, h] = area.box;
  check.checked = picture.chosen.has(area.id);
  check.disabled = busy;
  const doubt = area.sure ? "" : " · not sure";
  const words = `Area ${count}: ${w} × ${h}, cells ${size(area.grid)} px, ${percent(area.confidence)}${doubt}`;
  if (name.textContent !== words) name.textContent = words;
  const input = field.querySelector("input");
  input.disabled = busy;
  input.placeholder = number(area.grid[2]);
  input.setAttribute("aria-label", `Cell size of area ${count} in pixels`);
  if (document.activeElement !== input) input.value = area.changed ? number(area.grid[2]) : "";
  look.setAttribute("aria-label", `100 %: show area ${count}`);
  away.setAttribute("aria-label", `Remove area ${count}`);
  show(away, area.drawn);
  away.disabled = busy;
}
