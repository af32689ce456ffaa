// What looks restored: a map that belongs to one amount of detail, and is asked for once the slider rests.

import * as api from "./api.js";
import { chosen } from "./detail.js";
import { current, isBusy, onChange, work } from "./state.js";

const REST = 300; // milliseconds that nothing has changed for

let timer = 0;

export function start() {
  onChange(() => {
    clearTimeout(timer);
    if (isMissing(current())) timer = setTimeout(ask, REST);
  });
}

const name = (picture) => JSON.stringify([picture.result.number, chosen(picture)]);

// A map that could not be made is not asked for again until something else is wanted.
const isMissing = (picture) => picture?.view === "looks" && picture.result?.file && !isBusy(picture)
  && !isShown(picture) && picture.judging !== name(picture);

// Whether the map that is there is of what is chosen.
export function isShown(picture) {
  const { detail, seed } = chosen(picture);
  const { looks } = picture.result ?? {};
  return Boolean(looks) && looks.detail === detail && looks.seed === seed;
}

function ask() {
  const picture = current();
  if (!isMissing(picture)) return;
  picture.judging = name(picture);
  work(picture, () => api.judge(picture.id, chosen(picture)));
}

export function render() {
  const picture = current();
  const layer = document.querySelector('.layer[data-view="looks"]');
  layer.classList.toggle("stale", picture?.view === "looks" && !isShown(picture));
}
