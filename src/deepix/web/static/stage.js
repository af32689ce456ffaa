// The picture on the screen: a sheet that is scrolled, at some zoom, with its layers. Small pictures of the whole are
// always there; where they are too coarse, the part that is seen comes at its full size.

import * as api from "./api.js";
import { $, show } from "./dom.js";
import { current, variantOf } from "./state.js";

const LARGEST_FIT = 3; // small pictures are enlarged so much at most
const MARGIN = 128;    // pixels around what is seen that come with it
const MOST = 4e6;      // pixels that the server gives at once

let shown = null; // the picture on the sheet
let scale = 1;    // CSS pixels for each pixel of the picture
let timer = 0;
const moved = [];

export const onMove = (listener) => moved.push(listener);
export const layers = () => [...document.querySelectorAll(".layer")];
export const currentScale = () => scale;

// Where an event is, in pixels of the picture.
export function place(event) {
  const box = $("sheet").getBoundingClientRect();
  return [(event.clientX - box.left) / scale, (event.clientY - box.top) / scale];
}

export function start() {
  $("scroller").addEventListener("scroll", settle, { passive: true });
  new ResizeObserver(() => { if (shown) measure(); }).observe($("stage"));
}

// How high the picture may be, so that what is around it can be seen, too.
const room = () => Math.max(260, innerHeight - 270);

function fit([width, height]) {
  return Math.min($("scroller").clientWidth / width, room() / height, LARGEST_FIT);
}

function measure() {
  const [width, height] = shown.size;
  const scroller = $("scroller");
  const middle = [(scroller.scrollLeft + scroller.clientWidth / 2) / scale, (scroller.scrollTop + scroller.clientHeight / 2) / scale];
  const whole = fit(shown.size);
  scale = shown.zoom === "fit" ? whole : Number(shown.zoom);
  $("sheet").style.width = `${width * scale}px`;
  $("sheet").style.height = `${height * scale}px`;
  scroller.style.height = `${Math.ceil(Math.min(height * scale, room()))}px`;
  $("overlay").setAttribute("viewBox", `0 0 ${width} ${height}`);
  $("overlay").style.setProperty("--pixel", `${1 / scale}px`);
  $("sheet").classList.toggle("enlarged", scale >= 2);
  scroller.scrollLeft = middle[0] * scale - scroller.clientWidth / 2;
  scroller.scrollTop = middle[1] * scale - scroller.clientHeight / 2;
  settle();
}

// Show a box of the picture at 100 %.
export function lookAt([x, y, width, height]) {
  shown.zoom = "1";
  measure();
  const scroller = $("scroller");
  scroller.scrollLeft = (x + width / 2) * scale - scroller.clientWidth / 2;
  scroller.scrollTop = (y + height / 2) * scale - scroller.clientHeight / 2;
  $("stage").scrollIntoView({ block: "nearest" });
  settle();
}

export function render() {
  const picture = current();
  if (!picture?.size) {
    shown = null;
    return;
  }
  const fresh = shown !== picture;
  const zoomed = fresh || $("sheet").dataset.zoom !== picture.zoom;
  shown = picture;
  $("sheet").dataset.zoom = picture.zoom;
  for (const layer of layers()) {
    const seen = source(picture, layer.dataset.view);
    const [whole, part] = layer.children;
    show(layer, seen !== null && wanted(picture).includes(layer.dataset.view));
    if (seen === null) continue;
    const address = api.view(picture.id, ...seen);
    if (whole.dataset.address !== address) {
      whole.dataset.address = address;
      whole.src = address;
      show(part, false);
      part.dataset.address = "";
    }
  }
  if (zoomed) measure();
  else settle();
}

function wanted(picture) {
  return { areas: ["before"], compare: ["before", "after", "refined"], doubt: ["doubt"], looks: ["after", "looks"] }[picture.view];
}

// What a layer shows: the view's name, and the number of the restoration that it is of; null where it is not there.
function source(picture, layer) {
  const { result } = picture;
  if (layer === "before") return ["before", 0];
  if (!result || (layer === "doubt" && result.most == null)) return null;
  if (layer === "looks") return result.looks ? [result.looks.view, result.number] : null;
  if (layer !== "refined") return [layer, result.number];
  const variant = variantOf(picture);
  return variant ? [`variant-${variant.seed}`, result.number] : null;
}

// What is seen has changed: tell, and once it rests, ask for it at its full size.
function settle() {
  for (const listener of moved) listener();
  clearTimeout(timer);
  timer = setTimeout(sharpen, 120);
}

function sharpen() {
  if (!shown) return;
  const [width, height] = shown.size;
  const small = Math.min(1, 1800 / Math.max(width, height)); // the preview's pixels for each of the picture's
  const lossless = scale * devicePixelRatio > small || scale >= 1;
  const scroller = $("scroller");
  const x = Math.max(0, Math.floor(scroller.scrollLeft / scale) - MARGIN);
  const y = Math.max(0, Math.floor(scroller.scrollTop / scale) - MARGIN);
  const w = Math.min(width - x, Math.ceil(scroller.clientWidth / scale) + 2 * MARGIN);
  const h = Math.min(height - y, Math.ceil(scroller.clientHeight / scale) + 2 * MARGIN);
  for (const layer of layers()) {
    const part = layer.children[1];
    if (layer.hidden) continue;
    if (!lossless || w < 1 || h < 1 || w * h > MOST) {
      show(part, false);
      continue;
    }
    load(part, api.view(shown.id, ...source(shown, layer.dataset.view), [x, y, w, h]), [x, y, w, h]);
  }
}

async function load(part, address, [x, y, w, h]) {
  if (part.dataset.address === address) {
    show(part, true);
    return;
  }
  part.dataset.address = address;
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } catch {
    return; // the small picture stays; the server says why, where that matters
  }
  if (part.dataset.address !== address || !shown) return;
  const [width, height] = shown.size;
  part.src = address;
  part.style.left = `${(100 * x) / width}%`;
  part.style.top = `${(100 * y) / height}%`;
  part.style.width = `${(100 * w) / width}%`;
  part.style.height = `${(100 * h) / height}%`;
  show(part, true);
}
