// What came of it: the file to keep, what is promised of it, the command line that does the same.

import * as api from "./api.js";
import { chosen } from "./detail.js";
import { $, make, show } from "./dom.js";
import { lookAt } from "./stage.js";
import { changed, current, isBusy, onChange, state, variantOf, work } from "./state.js";

let shown = "";

export function start() {
  $("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText($("command").textContent);
      $("copy").textContent = "Copied";
    } catch { // no permission, or no secure page: it can be marked and copied by hand
      getSelection().selectAllChildren($("command"));
      $("copy").textContent = "Marked: press Ctrl-C";
    }
    setTimeout(() => { $("copy").textContent = "Copy"; }, 2000);
  });
  $("download").addEventListener("click", (event) => {
    const picture = current();
    if (isWritten(picture.result, chosen(picture))) return;
    event.preventDefault(); // first it has to be written
    if (isBusy(picture)) return;
    picture.download = chosen(picture);
    work(picture, () => api.keep(picture.id, picture.download));
  });
  onChange(fetchWritten);
}

const isWritten = ({ file, kept }, { detail, seed }) => (detail === 0 ? Boolean(file) : String(kept) === String([detail, seed]));

// Files that were asked for are fetched once they are there.
function fetchWritten() {
  for (const picture of state.pictures.values()) {
    if (!picture.download || isBusy(picture)) continue;
    const { download, result } = picture;
    picture.download = null;
    if (!result || !isWritten(result, download)) continue; // it was cancelled, or failed
    make("a", { href: api.result(picture.id, download), download: result.file }).click();
  }
}

export function render() {
  const picture = current();
  const result = picture?.result;
  show($("result"), Boolean(result));
  if (!result) {
    shown = "";
    return;
  }
  const asked = chosen(picture);
  const key = JSON.stringify([picture.id, picture.stage, result, asked]);
  if (key === shown) return;
  shown = key;
  const link = $("download");
  const soon = result.file && (!isBusy(picture) || isWritten(result, asked));
  if (soon) link.removeAttribute("aria-disabled");
  else link.setAttribute("aria-disabled", "true");
  if (soon) {
    link.href = api.result(picture.id, asked);
    link.download = result.file;
    link.textContent = `Download ${result.file}`;
  } else {
    link.removeAttribute("href");
    link.textContent = ["writing", "keeping"].includes(picture.stage) ? "Writing the file …" : `Download ${result.file}`;
  }
  $("promise").textContent = promise(result, asked.detail ? variantOf(picture).consistency : 0);
  $("cell-values").textContent = cellValues(picture, result);
  $("command").textContent = result.command + (asked.detail ? ` --detail ${asked.detail} --seed ${asked.seed}` : "");
  show($("areas-file"), Boolean(result.areasFile));
  if (result.areasFile) {
    $("areas-file").href = api.areasFile(picture.id);
    $("areas-file").download = result.areasFile;
    $("areas-file").textContent = `Download ${result.areasFile}, which it reads`;
  }
  $("looks").replaceChildren("At 100 %: ", ...result.areas.map((id) => look(picture, id)));
}

function look(picture, id) {
  const count = picture.areas.findIndex((area) => area.id === id) + 1;
  const button = make("button", { type: "button" }, `area ${count}`);
  button.addEventListener("click", () => {
    lookAt(picture.areas[count - 1].box);
    changed();
  });
  return button;
}

const SHOWN = {
  mean: "the mean of their pixels", sample: "one of their pixels", min: "the least value", max: "the greatest value",
  linear: "the mean of light",
};

// What cells were taken to show, and who said so.
function cellValues(picture, { areas, cellValues: values }) {
  const say = ({ kind, told }) => `${SHOWN[kind]}${told ? " (told from the picture)" : ""}`;
  if (new Set(values.map(({ kind }) => kind)).size === 1) {
    return `Cells were taken to show ${say({ kind: values[0].kind, told: values.some(({ told }) => told) })}.`;
  }
  const count = (id) => picture.areas.findIndex((area) => area.id === id) + 1;
  return `Cells were taken to show: ${values.map((value, i) => `area ${count(areas[i])}: ${say(value)}`).join("; ")}.`;
}

function promise({ consistency: plain, noise, blended }, refined) {
  const consistency = Math.max(plain, refined);
  const rest = "Everything outside the areas is unchanged, to the last bit.";
  if (!noise && !blended && consistency === 0) return `${rest} Pixelated again, the result gives your picture exactly.`;
  const off = Math.max(consistency, blended ? 1 : 0);
  const why = noise ? ` (its tiles are noisy: ${noise.toFixed(1)} levels)` : "";
  return `${rest} Pixelated again, its cells agree with your picture to ${off.toFixed(0)} level${off === 1 ? "" : "s"}${why}.`;
}
