// What came of it: the file to keep, what is promised of it, the command line that does the same.

import * as api from "./api.js";
import { $, make, show } from "./dom.js";
import { lookAt } from "./stage.js";
import { changed, current } from "./state.js";

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
}

export function render() {
  const picture = current();
  const result = picture?.result;
  show($("result"), Boolean(result));
  if (!result) {
    shown = "";
    return;
  }
  const key = JSON.stringify([picture.id, result]);
  if (key === shown) return;
  shown = key;
  const link = $("download");
  link.toggleAttribute("aria-disabled", !result.file);
  if (result.file) {
    link.href = api.result(picture.id);
    link.download = result.file;
    link.textContent = `Download ${result.file}`;
  } else {
    link.removeAttribute("href");
    link.textContent = "Writing the file …";
  }
  $("promise").textContent = promise(result);
  $("command").textContent = result.command;
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

function promise({ consistency, noise, blended }) {
  const rest = "Everything outside the areas is unchanged, to the last bit.";
  if (!noise && !blended && consistency === 0) return `${rest} Pixelated again, the result gives your picture exactly.`;
  const off = Math.max(consistency, blended ? 1 : 0);
  const why = noise ? ` (its tiles are noisy: ${noise.toFixed(1)} levels)` : "";
  return `${rest} Pixelated again, its cells agree with your picture to ${off.toFixed(0)} level${off === 1 ? "" : "s"}${why}.`;
}
