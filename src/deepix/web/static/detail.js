// Detail: how much of it is laid over the restoration, and of which variant. Nothing is computed again when it changes:
// what is shown is a blend of two pictures, the most probable one and one with all detail.

import * as api from "./api.js";
import { $, make, show } from "./dom.js";
import { changed, current, isBusy, onChange, state, variantOf, work } from "./state.js";

const FIRST = [0, 1, 2, 3]; // seeds of the variants that come by themselves
const THUMB = 240;          // pixels of the picture that a thumbnail shows at most
const LARGEST = Number.MAX_SAFE_INTEGER;

const items = new Map(); // thumbnails, by picture, restoration and seed

export function start() {
  $("amount").addEventListener("input", () => {
    current().percent = Number($("amount").value);
    changed();
  });
  $("variants").addEventListener("change", (event) => choose(current(), Number(event.target.value)));
  $("add-detail").addEventListener("click", () => ask(current(), FIRST));
  $("seed").max = LARGEST;
  $("another").addEventListener("submit", (event) => {
    event.preventDefault();
    const picture = current();
    const seed = $("seed").value === "" ? next(picture) : Number($("seed").value);
    $("seed").value = "";
    picture.wanted = seed;
    if (picture.result.variants.some((v) => v.seed === seed)) changed();
    else ask(picture, [seed]);
  });
  onChange(begin);
}

const ask = (picture, seeds, options) => work(picture, () => api.refine(picture.id, seeds), options);

// Pictures that were just restored get their first variants.
function begin() {
  for (const picture of state.pictures.values()) {
    if (picture.wanted !== null && picture.result?.variants.some((v) => v.seed === picture.wanted)) {
      const { wanted } = picture;
      picture.wanted = null;
      choose(picture, wanted);
    }
    if (!picture.refine || isBusy(picture)) continue;
    picture.refine = false;
    if (isPossible(picture) && !picture.result.variants.length) ask(picture, FIRST, { asked: false });
  }
}

const isPossible = ({ result }) => Boolean(state.about?.detail && result?.file);

function choose(picture, seed) {
  picture.seed = seed;
  if (picture.percent === 0) picture.percent = 100; // else nothing would be seen of it
  changed();
}

const next = (picture) => Math.min(LARGEST, Math.max(-1, ...picture.result.variants.map((v) => v.seed)) + 1);

export function render() {
  const picture = current();
  const there = picture !== null && isPossible(picture) && picture.view !== "areas";
  show($("detail"), there);
  if (!there) return;
  const { variants, mostVariants } = picture.result;
  const made = variants.length > 0;
  show($("amount-field"), made);
  show($("variants"), made);
  show($("another"), made);
  show($("add-detail"), !made);
  $("add-detail").disabled = isBusy(picture);
  $("amount").value = picture.percent;
  $("amount").setAttribute("aria-valuetext", `${picture.percent} % of the detail`);
  $("amount-said").textContent = `${picture.percent} %`;
  document.querySelector('.layer[data-view="refined"]').style.opacity = picture.percent / 100;
  $("seed").placeholder = made ? next(picture) : "";
  const full = variants.length >= mostVariants;
  for (const field of $("another").elements) field.disabled = isBusy(picture) || full;
  $("another").querySelector("button").textContent = full ? `There are no more than ${mostVariants}` : "Add a variant";
  list(picture);
}

// A thumbnail that is there stays: the keyboard may be on it.
function list(picture) {
  const fresh = picture.result.variants.map((variant) => {
    const key = `${picture.id}/${picture.result.number}/${variant.seed}`;
    if (!items.has(key)) items.set(key, item(picture, variant));
    return items.get(key);
  });
  for (const child of $("variants").querySelectorAll("label")) if (!fresh.includes(child)) child.remove();
  for (const one of fresh) {
    if (one.parentNode === null) $("variants").append(one);
    one.querySelector("input").checked = Number(one.querySelector("input").value) === picture.seed;
  }
}

function item(picture, { seed }) {
  const address = api.view(picture.id, `variant-${seed}`, picture.result.number, middle(picture));
  return make("label", {}, make("input", { type: "radio", name: "variant", value: seed }),
    make("span", {}, make("img", { src: address, alt: "" }), `seed ${seed}`));
}

// The middle of the largest area that was restored.
function middle(picture) {
  const boxes = picture.areas.filter((area) => picture.result.areas.includes(area.id)).map((area) => area.box);
  const [x, y, w, h] = boxes.sort((a, b) => b[2] * b[3] - a[2] * a[3])[0] ?? [0, 0, ...picture.size];
  const side = Math.min(THUMB, Math.max(w, h));
  return [Math.round(x + (w - side) / 2), Math.round(y + (h - side) / 2), side, side];
}

// What is shown, and what a file of it holds: 0 … 1, and the variant's seed.
export function chosen(picture) {
  const variant = variantOf(picture);
  return variant && picture.percent ? { detail: picture.percent / 100, seed: variant.seed } : { detail: 0, seed: 0 };
}

// By what the expected deviations grow with the detail that is shown: variances add up.
export function growth(picture) {
  const { detail } = chosen(picture);
  return Math.sqrt(1 + detail ** 2 * (picture.result.growth ** 2 - 1));
}
