// Files that are dropped, pasted or chosen, sent one after the other.

import * as api from "./api.js";
import { $ } from "./dom.js";
import { add, changed, fail, isBusy, onChange, state } from "./state.js";

const waiting = [];
let sending = false;

export function start() {
  $("files").addEventListener("change", (event) => {
    take([...event.target.files]);
    event.target.value = "";
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) document.body.classList.remove("over");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) take(files);
  });
  onChange(next);
}

function take(files) {
  state.error = null;
  const most = state.about?.maxBytes ?? Infinity;
  for (const file of files) {
    if (file.size > most) fail(new Error(`${file.name}: larger than ${Math.round(most / 2 ** 20)} MiB`));
    else waiting.push(file);
  }
  state.sending = waiting.map((file) => file.name);
  changed();
  next();
}

// The next file goes when the one before has been looked at: the queue is there for others, too.
async function next() {
  if (sending || !waiting.length || [...state.pictures.values()].some((p) => isBusy(p) && p.size === null)) return;
  sending = true;
  const file = waiting.shift();
  try {
    const { id } = await api.send(file, file.name);
    const first = state.current === null || !waiting.length;
    add(id, file.name);
    if (first) state.current = id;
  } catch (error) {
    fail(new Error(error.message.startsWith(file.name) ? error.message : `${file.name}: ${error.message}`));
  } finally {
    sending = false;
    state.sending = waiting.map((f) => f.name);
    changed();
  }
}
