// The server's addresses. What goes wrong is an Error whose message can be shown, with its HTTP status.

async function ask(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      body: body === undefined || body instanceof Blob ? body : JSON.stringify(body),
      headers: { "Content-Type": body instanceof Blob ? "application/octet-stream" : "application/json" },
    });
  } catch {
    throw Object.assign(new Error("The server does not answer. Is it still running?"), { status: 0 });
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.error ?? `The server answers ${response.status}.`), { status: response.status });
}

const place = (id) => `/api/pictures/${id}`;

export const about = () => ask("GET", "/api/about");
export const list = () => ask("GET", "/api/pictures");
export const send = (file, name) => ask("POST", `/api/pictures?name=${encodeURIComponent(name)}`, file);
export const tell = (id, seen) => ask("GET", seen === undefined ? place(id) : `${place(id)}?seen=${seen}`);
export const mark = (id, what) => ask("POST", `${place(id)}/areas`, what);
export const refit = (id, area, cell) => ask("POST", `${place(id)}/areas/${area}`, { cell });
export const unmark = (id, area) => ask("DELETE", `${place(id)}/areas/${area}`);
export const restore = (id, areas, cellValue) => ask("POST", `${place(id)}/restore`, { areas, cellValue });
export const refine = (id, seeds) => ask("POST", `${place(id)}/variants`, { seeds });
export const keep = (id, chosen) => ask("POST", `${place(id)}/file`, chosen);
export const judge = (id, chosen) => ask("POST", `${place(id)}/looks`, chosen);
export const cancel = (id) => ask("POST", `${place(id)}/cancel`, {});
export const remove = (id) => ask("DELETE", place(id));
export const forget = () => ask("DELETE", "/api/session");
export const result = (id, { detail, seed }) => `${place(id)}/result?detail=${detail}&seed=${seed}`;
export const areasFile = (id) => `${place(id)}/areas.json`;

export function view(id, name, number, box) {
  const part = box ? `&box=${box.join(",")}` : "";
  return `${place(id)}/views/${name}?r=${number}${part}`;
}
