// What the page knows: the pictures, which one is shown and how; and who is told when that changes.

import * as api from "./api.js";

export const state = {
  about: null,
  pictures: new Map(), // by the server's numbers
  current: null,       // the number of the one that is shown
  sending: [],         // names of files that are on their way
  error: null,
};

const listeners = [];
let asked = false;

export const onChange = (listener) => listeners.push(listener);

export function changed() {
  if (asked) return;
  asked = true;
  queueMicrotask(() => {
    asked = false;
    for (const listener of listeners) listener();
  });
}

export const current = () => state.pictures.get(state.current) ?? null;

export function fail(error) {
  state.error = error === null ? null : error.message ?? String(error);
  changed();
}

// Do what may fail, and show how; what the visitor did not ask for leaves an error that is shown.
export async function attempt(action, { asked: byVisitor = true } = {}) {
  if (byVisitor) state.error = null;
  try {
    return await action();
  } catch (error) {
    fail(error);
    return undefined;
  } finally {
    changed();
  }
}

export function add(id, name) {
  const picture = {
    id, name, version: -1, stage: "reading", ahead: 0, areas: [], notes: [], size: null, result: null, error: null,
    chosen: new Set(),   // areas to be restored
    known: new Set(),    // areas that were looked at when they came
    view: "areas", zoom: "fit", since: performance.now(),
    percent: 0, seed: 0, // of detail, and the variant that is shown
    cellValue: "",       // what the visitor says that cells show; empty: told from the picture
    wanted: null,        // the seed of a variant that is to be shown once it is there
    refine: false,       // it is to be given its first variants
    judging: "",         // of what a map of what looks restored was asked for
    leaving: false,      // the visitor has it removed
    download: null,      // the detail and seed of the file that is to be fetched once it is written
  };
  state.pictures.set(id, picture);
  changed();
  follow(picture);
  return picture;
}

export function drop(id) {
  state.pictures.delete(id);
  if (state.current === id) state.current = [...state.pictures.keys()].at(-1) ?? null;
  changed();
}

const busy = (picture) => !["ready", "failed"].includes(picture.stage);
export const isBusy = busy;

// Ask for what is known of a picture until nothing more is done with it.
export async function follow(picture) {
  if (picture.followed) return;
  picture.followed = true;
  try {
    do {
      const answer = await api.tell(picture.id, picture.version < 0 ? undefined : picture.version);
      take(picture, answer);
    } while (state.pictures.has(picture.id) && busy(picture));
  } catch (error) {
    if (error.status === 404) drop(picture.id);
    if (!picture.leaving) fail(error);
  } finally {
    picture.followed = false;
  }
}

function take(picture, answer) {
  if (answer.stage !== picture.stage) picture.since = performance.now();
  const first = picture.version < 0; // the page was opened again
  const restored = answer.result && answer.result.number !== picture.result?.number;
  Object.assign(picture, answer);
  for (const area of picture.areas) {
    if (picture.known.has(area.id)) continue;
    picture.known.add(area.id);
    if (area.sure) choose(picture, area.id, true);
  }
  for (const id of picture.chosen) if (!picture.areas.some((a) => a.id === id)) picture.chosen.delete(id);
  if (restored) Object.assign(picture, { view: "compare", percent: 0, wanted: null, download: null, refine: !first });
  if (picture.result?.variants.length && !variantOf(picture)) picture.seed = picture.result.variants[0].seed;
  if (!picture.result && picture.view !== "areas") picture.view = "areas";
  changed();
}

// The variant that is shown; undefined where it is not there.
export const variantOf = (picture) => picture.result?.variants.find((variant) => variant.seed === picture.seed);

// Take an area in, or leave it out; those that share pixels with it cannot be restored beside it.
export function choose(picture, id, wanted) {
  if (wanted) picture.chosen.add(id);
  else picture.chosen.delete(id);
  const area = picture.areas.find((a) => a.id === id);
  if (wanted) for (const other of area?.overlaps ?? []) picture.chosen.delete(other);
  changed();
}

// Ask the server for something that takes time, and follow what becomes of it.
export async function work(picture, ask, options) {
  await attempt(async () => {
    await ask();
    const answer = await api.tell(picture.id);
    take(picture, answer);
  }, options);
  follow(picture);
}
