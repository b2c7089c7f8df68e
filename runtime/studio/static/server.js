// Talking to the server this page came from: forms, pictures and framed bytes. And what the browser keeps for a reload.

export async function send(path, fields, signal) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Blob) form.append(name, value, value.name || name);
    else if (value !== null && value !== undefined) form.append(name, value);
  }
  return checked(await fetch(path, { method: "POST", body: form, signal }));
}

export async function checked(response) {
  if (response.ok) return response;
  let message = `the server answered ${response.status}`;
  try { message = (await response.json()).detail || message; } catch { /* it said no more */ }
  throw new Error(message);
}

export function engineMs(response) {
  return Math.round(/run;dur=([\d.]+)/.exec(response.headers.get("server-timing") ?? "")?.[1] ?? 0);
}

export function socket(path) {
  const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`);
  opened.binaryType = "arraybuffer";
  return opened;
}

export function unframed(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  return [JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length))), 4 + length];
}

export const pngOf = (canvas) => new Promise((done) => canvas.toBlob(done, "image/png"));

export async function canvasOf(blob) {
  const bitmap = await createImageBitmap(blob).catch(() => {
    throw new Error(`${blob.name || "the file"} is no picture that this browser reads; give a PNG, JPEG or WebP`);
  });
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width; canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}

export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

export function choose(multiple = false) {
  const input = document.getElementById("file");
  input.multiple = multiple; input.value = "";
  return new Promise((done) => {
    input.onchange = () => done([...input.files]);
    input.click();
  });
}

let database;
function opened() {
  database ??= new Promise((done, fail) => {
    const request = indexedDB.open("pix2rt", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("kept");
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
  return database;
}

async function ask(mode, act) {
  const store = (await opened()).transaction("kept", mode).objectStore("kept");
  return new Promise((done, fail) => {
    const request = act(store);
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
}

export const keep = (name, value) => ask("readwrite", (store) => store.put(value, name));
export const kept = (name) => ask("readonly", (store) => store.get(name));
