// The frame: a tab for each kind of engine, files that are dropped or pasted, keys, light and dark.

import { checked } from "./server.js";
import { ScenePage } from "./scene.js";
import { HolesPage } from "./holes.js";
import { SketchPage } from "./sketch.js";
import { TranslatePage } from "./translate.js";

const PAGES = [["synthesizer", "scene", "Scene", ScenePage], ["inpainter", "holes", "Holes", HolesPage], ["sketch", "sketch", "Sketch", SketchPage], ["translator", "translate", "Translate", TranslatePage]];
const KEYS = [["B E L P R", "Brush, Eraser, Line, Polygon, Rectangle"], ["F I S M", "Fill, pIpette, Select, Move"], ["[ ]", "smaller, larger brush; also Alt or Shift and the wheel"],
  ["Wheel", "zoom to the pixel; two fingers on a touch screen"], ["Space, middle or right button", "pan"], ["0", "whole picture"], ["V", "side by side, or blended"],
  ["Ctrl+Z, Ctrl+Y", "undo, redo"], ["Del", "remove the selected object"], ["D", "duplicate it"], ["Esc", "drop an unfinished polygon, select nothing"],
  ["Enter or double click", "close a polygon; fill a hole; start a search"], ["Ctrl+V, drop", "open a picture, map or session"], ["?", "this list"]];

export const studio = { pages: {}, current: null, errors: [] };
window.studio = studio;

const notice = document.getElementById("notice");
let fading;
export function say(text, isBad = false) {
  notice.textContent = text;
  notice.classList.toggle("bad", isBad);
  if (isBad) studio.errors.push(text);
  clearTimeout(fading);
  fading = setTimeout(() => { notice.textContent = ""; }, isBad ? 12000 : 5000);
}

function show(id) {
  studio.current = studio.pages[id];
  for (const [, name] of PAGES) document.getElementById(name).hidden = name !== id;
  for (const button of document.querySelectorAll("#tabs button")) button.setAttribute("aria-selected", button.dataset.page === id);
  localStorage.setItem("pix2rt.page", id);
  document.querySelector(`#${id} canvas[tabindex]`).focus({ preventScroll: true });
  studio.current.shown();
}

export function attempt(work) { return Promise.resolve().then(work).catch((error) => { if (error.name !== "AbortError") say(error.message, true); }); }

async function begin() {
  const { engines, version } = await (await checked(await fetch("api/engines"))).json();
  document.querySelector(".brand").title = `pix2rt ${version}`;
  for (const [kind, id, title, Page] of PAGES) {
    const own = engines.filter((engine) => engine.kind === kind);
    if (!own.length) continue;
    const button = document.getElementById("tabs").appendChild(document.createElement("button"));
    Object.assign(button, { textContent: title, onclick: () => show(id) });
    button.dataset.page = id;
    button.setAttribute("role", "tab");
    const root = document.getElementById(id), select = root.querySelector(".engine");
    for (const engine of own) select.append(new Option(`${engine.name} (${engine.device})`, engine.name));
    const page = (studio.pages[id] = new Page(root, own));
    select.onchange = () => attempt(() => page.use(own.find((engine) => engine.name === select.value)));
    root.addEventListener("click", (event) => {
      const act = event.target.closest("[data-act]")?.dataset.act;
      if (act) attempt(() => page.act(act));
    });
    await attempt(() => page.use(own[0]));
  }
  const wanted = localStorage.getItem("pix2rt.page");
  show(studio.pages[wanted] ? wanted : Object.keys(studio.pages)[0]);
  studio.ready = true;
}

const root = document.documentElement;
function dress(theme) { root.dataset.theme = theme; localStorage.setItem("pix2rt.theme", theme); studio.current?.shown(); }
dress(localStorage.getItem("pix2rt.theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
document.getElementById("theme").onclick = () => dress(root.dataset.theme === "dark" ? "light" : "dark");

const shortcuts = document.getElementById("shortcuts"), table = document.getElementById("keys");
for (const [keys, what] of KEYS) {
  const row = table.insertRow(), key = row.insertCell().appendChild(document.createElement("kbd"));
  key.textContent = keys;
  row.insertCell().textContent = what;
}
document.getElementById("help").onclick = () => shortcuts.showModal();
document.getElementById("close-help").onclick = () => shortcuts.close();

addEventListener("keydown", (event) => {
  if (/^(text|search|number)$/.test(event.target.type) || event.target.tagName === "SELECT" || shortcuts.open) return;
  const control = event.ctrlKey || event.metaKey, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  let act = null;
  if (control) act = { z: event.shiftKey ? "redo" : "undo", y: "redo" }[key];
  else if (key === "?") return shortcuts.showModal();
  else if (key === "Enter" && event.target.tagName === "BUTTON") return;
  else act = studio.current?.keys?.[key];
  if (act) { event.preventDefault(); attempt(() => studio.current.act(act)); }
});
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files.length) attempt(() => studio.current.take([...event.dataTransfer.files]));
});
addEventListener("paste", (event) => { if (event.clipboardData.files.length) attempt(() => studio.current.take([...event.clipboardData.files])); });
addEventListener("click", (event) => { for (const menu of document.querySelectorAll("details[open]")) if (!menu.contains(event.target) || event.target.tagName === "BUTTON") menu.open = false; });

attempt(begin);
