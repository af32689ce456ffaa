// Puts the parts together: each shows what the state says, and changes it.

import * as api from "./api.js";
import * as areas from "./areas.js";
import * as compare from "./compare.js";
import * as detail from "./detail.js";
import { $, choose, make, show } from "./dom.js";
import * as looks from "./looks.js";
import * as result from "./result.js";
import * as stage from "./stage.js";
import { add, attempt, changed, current, drop, isBusy, onChange, state } from "./state.js";
import * as strip from "./strip.js";
import * as tools from "./tools.js";
import * as uploads from "./uploads.js";

const HEARTBEAT = 4 * 60_000; // milliseconds; the server forgets who has been gone for longer

const STAGES = {
  reading: "Reading the picture", finding: "Looking for pixelated areas", fitting: "Fitting the cells",
  restoring: "Restoring", writing: "Writing the file", refining: "Adding detail", keeping: "Writing the file",
  judging: "Mapping what looks restored",
};

// What the colours of a view stand for.
const LEGENDS = {
  doubt: "levels: how far off the restoration may be, as the network expects it (standard deviation)",
  looks: "%: how sure a network is, without knowing the areas, that a pixel was restored. Where it is not, the restoration looks like a photo; right it need not be.",
};

function render() {
  const picture = current();
  const error = state.error ?? picture?.error ?? null;
  show($("error"), error !== null);
  if ($("error").textContent !== (error ?? "")) $("error").textContent = error ?? "";
  show($("forget"), state.pictures.size > 0);
  document.body.classList.toggle("empty", state.pictures.size === 0);
  show($("work"), picture !== null);
  strip.render();
  if (picture) head(picture);
  stage.render();
  areas.render();
  tools.render();
  compare.render();
  detail.render();
  looks.render();
  result.render();
}

function head(picture) {
  $("work-title").textContent = picture.name;
  $("facts").textContent = picture.size ? `${picture.size[0]} × ${picture.size[1]} pixels` : "";
  choose("view", picture.view);
  for (const input of document.querySelectorAll('input[name="view"]')) {
    input.disabled = (input.value === "compare" && !picture.result) || (input.value === "doubt" && picture.result?.most == null)
      || (input.value === "looks" && !picture.result?.file);
  }
  show($("looks-view"), Boolean(state.about?.looks));
  show($("bar"), picture.size !== null);
  show($("panel"), picture.size !== null || picture.stage === "failed");
  for (const section of document.querySelectorAll("#panel > section")) if (picture.size === null) section.hidden = true;
  if (picture.size !== null) $("areas-title").parentElement.hidden = false;
  $("zoom").value = picture.zoom;
  show($("legend"), picture.view in LEGENDS);
  $("legend-text").textContent = LEGENDS[picture.view] ?? "";
  const most = picture.view === "looks" ? 100 : picture.result?.most != null && picture.result.most * detail.growth(picture);
  $("most").textContent = most ? most.toFixed(0) : "";
  show($("notes"), picture.notes.length > 0);
  $("notes").querySelector("ul").replaceChildren(...picture.notes.map((note) => make("li", {}, note)));
  show($("stage"), picture.stage !== "failed");
  busy(picture);
}

function busy(picture) {
  const at = isBusy(picture) && picture.stage !== "writing";
  show($("busy"), at);
  $("stage").setAttribute("aria-busy", String(at));
  const doing = `${STAGES[picture.stage] ?? ""}${variants(picture)}`;
  const words = picture.ahead ? `Waiting: ${picture.ahead} before you` : doing;
  const seconds = Math.floor((performance.now() - picture.since) / 1000);
  $("busy-text").textContent = at ? `${words} … ${seconds ? `${seconds} s` : ""}` : "";
  const said = at ? `${words} …` : told(picture);
  if ($("status").textContent !== said) $("status").textContent = said;
}

function variants({ stage, result }) {
  const making = stage === "refining" ? result.refining : [];
  if (making.length < 2) return "";
  const made = result.variants.filter(({ seed }) => making.includes(seed)).length;
  return `: variant ${Math.min(made + 1, making.length)} of ${making.length}`;
}

// What a screen reader says when something is done.
function told(picture) {
  if (picture.stage === "failed") return "";
  if (picture.result) return picture.result.file ? "Restored. The file is ready." : "Restored.";
  const count = picture.areas.length;
  return count === 1 ? "1 pixelated area found." : `${count || "No"} pixelated areas found.`;
}

function start() {
  for (const part of [uploads, stage, areas, tools, compare, detail, looks, result]) part.start();
  onChange(render);
  for (const input of document.querySelectorAll('input[name="view"]')) {
    input.addEventListener("change", () => { current().view = input.value; changed(); });
  }
  $("zoom").addEventListener("change", () => { current().zoom = $("zoom").value; changed(); });
  $("cancel").addEventListener("click", () => {
    const picture = current();
    attempt(async () => {
      await api.cancel(picture.id);
      if (picture.size === null) drop(picture.id);
    });
  });
  $("remove").addEventListener("click", () => {
    const picture = current();
    picture.leaving = true;
    attempt(async () => {
      await api.remove(picture.id);
      drop(picture.id);
    });
  });
  $("forget").addEventListener("click", () => attempt(async () => {
    for (const picture of state.pictures.values()) picture.leaving = true;
    await api.forget();
    state.pictures.clear();
    state.current = null;
  }));
  setInterval(() => { const picture = current(); if (picture && isBusy(picture)) busy(picture); }, 1000);
  setInterval(() => { if (state.pictures.size) api.list().catch(() => {}); }, HEARTBEAT);
  attempt(async () => {
    state.about = await api.about();
    $("version").textContent = `Deepix ${state.about.version}`;
    const local = ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);
    $("place").textContent = local ? "this machine" : location.hostname;
    $("limits").textContent = `JPEG, PNG, TIFF, WebP and more, up to ${Math.round(state.about.maxBytes / 2 ** 20)} MiB and ` +
      `${Math.round(state.about.maxPixels / 1e6)} megapixels`;
    for (const { id, name } of (await api.list()).pictures) {
      add(id, name);
      state.current = id;
    }
  });
}

start();
