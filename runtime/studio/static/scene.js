// The scene page: labels are painted, the photo follows. The server holds the session; this page holds a copy of its maps.

import { Place, View, layer, ring, trace } from "./view.js";
import { checked, choose, download, keep, kept, send, socket, unframed } from "./server.js";
import { slider, toolbox } from "./tools.js";
import { attempt, say } from "./app.js";
import { Selection } from "./selection.js";
import { Palette } from "./palette.js";

const TOOLS = [["brush", "●", "Brush", "b"], ["eraser", "○", "Eraser", "e"], ["line", "╱", "Line", "l"], ["polygon", "⬠", "Polygon", "p"], ["rectangle", "▭", "Rectangle", "r"],
  ["fill", "▧", "Fill", "f"], ["pipette", "◎", "Pipette", "i"], ["select", "➤", "Select", "s"], ["move", "✥", "Move", "m"]];
const SAVE_AFTER_MS = 1200;

export class ScenePage {
  constructor(root) {
    this.root = root;
    this.place = new Place();
    this.labelView = new View(root.querySelector("#labels-view"), this.place, (c) => this.drawLabels(c), (...a) => this.pointer(...a), (d) => this.resizeBrush(d));
    this.photoView = new View(root.querySelector("#photo-view"), this.place, (c) => this.drawPhoto(c), (...a) => this.pointer(...a), (d) => this.resizeBrush(d));
    this.mark = toolbox(root.querySelector("#scene-tools"), TOOLS, (tool) => this.choose(tool));
    this.keys = Object.fromEntries(TOOLS.map(([name, , , key]) => [key, `tool:${name}`]));
    Object.assign(this.keys, { "[": "smaller", "]": "larger", 0: "fit", v: "view", Delete: "remove", d: "duplicate", Escape: "escape", Enter: "close" });
    this.brush = slider("brush", "brush-size", () => this.place.redraw(), " px");
    this.blend = slider("blend", null, () => this.place.redraw());
    this.palette = new Palette(root);
    this.selection = new Selection(root, this);
    this.waiting = new Map(); this.timings = []; this.number = 0; this.points = []; this.photo = null;
    root.querySelector("#draft").onchange = (event) => this.ask({ op: "draft", step: event.target.checked ? 2 : 1 });
    for (const button of root.querySelectorAll("[data-save]")) button.onclick = () => attempt(() => this.save(button.dataset.save));
    this.choose("brush");
    this.arrange(localStorage.getItem("pix2rt.view") || "side");
    this.tellTiming();
  }

  use(engine) {
    this.engine = engine.name;
    this.socket?.close();
    this.connect();
    return new Promise((done) => { this.begun = done; });
  }

  connect() {
    const kept_ = localStorage.getItem(`pix2rt.scene.${this.engine}`) || "";
    const opened = (this.socket = socket(`/ws/scene/${encodeURIComponent(this.engine)}?session=${encodeURIComponent(kept_)}`));
    opened.onmessage = (event) => attempt(() => (typeof event.data === "string" ? this.told(JSON.parse(event.data), kept_) : this.shownBytes(event.data)));
    opened.onclose = (event) => {
      if (opened !== this.socket) return;
      say(event.reason || "the server has gone; trying again", true);
      this.begun();
      setTimeout(() => opened === this.socket && this.connect(), 1500);
    };
  }

  told(message, before) {
    if (message.type === "scene") this.begin(message, before);
    else if (message.type === "state") this.state(message);
    else if (message.type === "done") {
      const stroke = this.waiting.get(message.number);
      if (stroke) stroke.revision = message.revision;
      stroke?.then?.(message.result);
    } else if (message.type === "error") { say(message.message, true); this.waiting.clear(); this.preview(); }
  }

  begin(scene, before) {
    if (this.scene?.session !== scene.session) { this.photo = null; this.queue = 0; this.waiting.clear(); }  // it counts anew
    this.scene = scene;
    this.labels = new Uint8Array(scene.width * scene.height);
    this.ids = new Int32Array(scene.width * scene.height);
    this.labelLayer = layer(scene.width, scene.height);
    this.overlay = layer(scene.width, scene.height);
    this.colours = new Uint32Array(256).fill(0xff000000);
    scene.classes.forEach(({ colour: [r, g, b] }, id) => { this.colours[id] = 0xff000000 | (b << 16) | (g << 8) | r; });
    for (const view of [this.labelView, this.photoView]) view.size = [scene.width, scene.height];
    this.palette.show(scene.classes);
    this.selection.select(null);
    this.root.querySelector("#draft-box").hidden = !scene.canDraft;
    this.place.fit();
    const isNew = scene.session !== before;
    localStorage.setItem(`pix2rt.scene.${this.engine}`, scene.session);
    if (isNew && this.restoring !== scene.session) attempt(() => this.restore(scene.session));
    this.state(scene);
    this.begun();
  }

  // The server does not know the session any more: hand it what this browser kept.
  async restore(session) {
    this.restoring = session;
    const file = await kept(`scene.${this.engine}`);
    if (file) await send(`api/scene/${session}/open`, { session: new File([file], "kept.npz") });
  }

  state({ undo, redo, queue }) {
    this.root.querySelector("[data-act=undo]").disabled = !undo;
    this.root.querySelector("[data-act=redo]").disabled = !redo;
    if (queue !== undefined) this.queue = queue;
    this.tellTiming();
  }

  shownBytes(buffer) {
    const [header, start] = unframed(buffer);
    if (header.type === "maps") this.takeMaps(header.box, buffer, start);
    else if (header.type === "photo") this.takePhoto(header, buffer, start);
    else this.selection.showSwatches(header, buffer, start);
  }

  takeMaps([top, left, bottom, right], buffer, start) {
    const width = right - left, height = bottom - top, area = width * height;
    const labels = new Uint8Array(buffer, start, area), ids = new Int32Array(buffer.slice(start + area, start + 5 * area));
    const image = new ImageData(width, height), pixels = new Uint32Array(image.data.buffer);
    for (let row = 0; row < height; row++) {
      const target = (top + row) * this.scene.width + left, from = row * width;
      this.labels.set(labels.subarray(from, from + width), target);
      this.ids.set(ids.subarray(from, from + width), target);
    }
    for (let i = 0; i < area; i++) pixels[i] = this.colours[labels[i]];
    this.labelLayer.getContext("2d").putImageData(image, left, top);
    this.hasMaps = true;
    if (!this.points.length) this.preview();
    this.selection.refresh();
    this.place.redraw();
    this.keepSoon();
  }

  takePhoto(header, buffer, start) {
    if (this.photo && header.revision < this.photo.revision) return;
    const { width, height } = header;
    const canvas = this.photo?.canvas.width === width && this.photo.canvas.height === height ? this.photo.canvas : layer(width, height);
    canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(buffer, start, 4 * width * height), width, height), 0, 0);
    this.photo = { ...header, canvas };
    this.queue = header.queue;
    this.photoView.paint();
    for (const [number, stroke] of this.waiting) if (stroke.revision && stroke.revision <= header.revision) {
      this.waiting.delete(number);
      this.timings.push({ ms: performance.now() - stroke.start, engine: header.ms });
    }
    this.tellTiming();
    this.place.redraw();
  }

  tellTiming() {
    const last = this.timings.at(-1), busy = this.queue ? `rendering${this.queue > 1 ? `, ${this.queue} waiting` : ""} … ` : "";
    const photo = this.photo ? `last rendering ${this.photo.ms} ms` : "";
    this.root.querySelector("#timing").textContent = busy + photo + (last ? ` · stroke to picture ${Math.round(last.ms)} ms` : "");
  }

  keepSoon() {
    clearTimeout(this.keeping);
    this.keeping = setTimeout(async () => {
      const answer = await fetch(`api/scene/${this.scene.session}/session.npz`).catch(() => null);
      if (answer?.ok) { await keep(`scene.${this.engine}`, await answer.blob()); this.isKept = true; }
    }, SAVE_AFTER_MS);
    this.isKept = false;
  }

  ask(message, then) {
    const number = ++this.number;
    this.waiting.set(number, { start: performance.now(), then });
    if (this.waiting.size > 200) this.waiting.delete(this.waiting.keys().next().value);
    this.socket.send(JSON.stringify({ ...message, number }));
  }

  choose(tool) {
    this.tool = tool;
    this.mark(tool);
    this.points = [];
    if (this.overlay) this.preview();
  }

  resizeBrush(direction) { this.brush.value = Math.max(0, this.brush.value + direction * Math.max(1, Math.round(this.brush.value / 8))); }

  at(x, y) {
    if (!this.hasMaps || x < 0 || y < 0 || x >= this.scene.width || y >= this.scene.height) return null;
    const index = y * this.scene.width + x;
    return { id: this.ids[index], class: this.labels[index] };
  }

  pointer(kind, x, y, event) {
    if (!this.hasMaps) return;
    this.cursor = kind === "leave" ? null : [x, y];
    if (kind === "cancel") { this.points = []; this.preview(); return; }
    if (kind === "hover" || kind === "leave") { this.hover(x, y); if (this.tool === "polygon" && this.points.length) this.preview([x, y]); this.place.redraw(); return; }
    if (this.tool === "polygon") this.polygonPointer(kind, x, y, event);
    else if (["fill", "pipette", "select"].includes(this.tool)) { if (kind === "down") this.click(x, y); }
    else if (kind === "down") { this.points = [[x, y]]; this.from = this.at(x, y); if (this.tool === "move") this.selection.select(this.from?.id ?? null); this.preview(); }
    else if (kind === "move") {
      if (["brush", "eraser"].includes(this.tool)) this.points.push([x, y]); else this.points[1] = [x, y];
      this.preview();
    } else if (this.points.length) this.finish(x, y);
  }

  polygonPointer(kind, x, y, event) {
    if (kind !== "down") return;
    if (event.detail > 1 && this.points.length > 2) this.act("close");
    else { this.points.push([x, y]); this.preview(); }
  }

  click(x, y) {
    const here = this.at(x, y);
    if (!here) return;
    if (this.tool === "fill") this.ask({ op: "fill", point: [x, y], class: this.palette.chosen, instance: this.newInstance(null) });
    else if (this.tool === "pipette") { this.palette.choose(here.class); this.choose("brush"); }
    else this.selection.select(here.id);
  }

  // A stroke that begins on an object of the class goes on with it; else it is an object of its own.
  newInstance(from) {
    const wanted = this.palette.chosen, classes = this.scene.classes;
    if (!classes[wanted].isThing) return null;
    const isOn = from && (from.class === wanted || (classes[from.class].isPart && Math.floor(from.id / 1000) === wanted));
    return isOn && from.id !== wanted ? from.id : "new";
  }

  finish(x, y) {
    const points = this.points, paint = { op: "paint", class: this.palette.chosen, instance: this.newInstance(this.from) };
    this.points = [];
    if (this.tool === "move") {
      const [dx, dy] = [x - points[0][0], y - points[0][1]];
      if (this.from && (dx || dy)) this.ask({ op: "move", instance: this.from.id, dx, dy }); else this.preview();
    } else if (this.tool === "eraser") this.ask({ op: "erase", shape: { kind: "line", points, radius: this.brush.value } });
    else if (this.tool === "rectangle") this.ask({ ...paint, shape: { kind: "rectangle", points: [points[0], points[1] || points[0]] } });
    else this.ask({ ...paint, shape: { kind: "line", points, radius: this.brush.value } });
  }

  preview(next) {
    const context = this.overlay.getContext("2d"), points = next ? [...this.points, next] : this.points;
    context.clearRect(0, 0, this.overlay.width, this.overlay.height);
    if (points.length) {
      const colour = this.tool === "eraser" ? "rgba(255,255,255,.75)" : this.palette.colour;
      if (this.tool === "rectangle" && points[1]) {
        const [[x0, y0], [x1, y1]] = points;
        context.fillStyle = colour;
        context.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0) + 1, Math.abs(y1 - y0) + 1);
      } else if (this.tool === "polygon") {
        context.fillStyle = colour;
        context.globalAlpha = 0.6; context.beginPath(); points.forEach((p) => context.lineTo(...p)); context.fill(); context.globalAlpha = 1;
        trace(context, [...points, points[0]], 2 / this.place.scale, colour);
      } else if (this.tool === "move") this.selection.drawMoved(context, points);
      else trace(context, points, 2 * this.brush.value + 1, colour);
    }
    this.place.redraw();
  }

  hover(x, y) {
    const here = this.at(x, y);
    this.root.querySelector("#hover").textContent = here ? `${this.nameOf(here)} · x ${x}, y ${y}` : "";
  }

  nameOf({ id, class: class_ }) { return `${this.scene.classes[class_].name}${id === class_ ? "" : ` #${id}`}`; }

  drawLabels(context) {
    if (!this.hasMaps) return;
    context.drawImage(this.labelLayer, 0, 0);
    if (this.view === "blend" && this.photo) { context.globalAlpha = this.blend.value / 100; this.drawScaled(context, this.photo.canvas); context.globalAlpha = 1; }
    this.drawMarks(context);
  }

  drawPhoto(context) {
    if (this.photo) this.drawScaled(context, this.photo.canvas);
    if (this.hasMaps) this.drawMarks(context);
  }

  drawScaled(context, canvas) { context.drawImage(canvas, 0, 0, this.scene.width, this.scene.height); }

  drawMarks(context) {
    this.selection.draw(context);
    context.drawImage(this.overlay, 0, 0);
    if (this.cursor && ["brush", "eraser", "line"].includes(this.tool)) ring(context, ...this.cursor, this.brush.value + 0.5, this.place.scale);
  }

  arrange(view) {
    this.view = view;
    localStorage.setItem("pix2rt.view", view);
    this.photoView.canvas.hidden = view === "blend";
    for (const one of ["side", "blend"]) this.root.querySelector(`[data-act=${one}]`).classList.toggle("on", view === one);
    this.shown();
  }

  shown() {
    const stage = this.root.querySelector(".views"), box = stage.getBoundingClientRect();
    stage.classList.toggle("tall", box.height * 1.1 > box.width / (this.scene ? this.scene.width / this.scene.height : 2));
    requestAnimationFrame(() => { this.place.fit(); this.palette.reveal(); });
  }

  async act(name) {
    const [what, detail] = name.split(":");
    if (what === "tool") this.choose(detail);
    else if (what === "undo" || what === "redo") this.ask({ op: what });
    else if (what === "side" || what === "blend") this.arrange(what);
    else if (what === "view") this.arrange(this.view === "side" ? "blend" : "side");
    else if (what === "fit") this.place.fit();
    else if (what === "smaller" || what === "larger") this.resizeBrush(what === "larger" ? 1 : -1);
    else if (what === "shuffle") this.ask({ op: "shuffle", seed: Math.floor(Math.random() * 2 ** 31) });
    else if (what === "escape") { this.points = []; this.preview(); this.selection.select(null); }
    else if (what === "close" && this.points.length > 2) {
      this.ask({ op: "paint", class: this.palette.chosen, instance: this.newInstance(null), shape: { kind: "polygon", points: this.points } });
      this.points = [];
    } else if (what === "new") await send(`api/scene/${this.scene.session}/open`, {});
    else if (what === "open") await this.take(await choose(true));
    else await this.selection.act(what);
  }

  // A session, or maps: of two pictures the one whose name says "inst" holds the instances.
  async take(files) {
    const session = files.find((file) => file.name.endsWith(".npz")), isInst = (file) => /inst/i.test(file.name);
    const fields = session ? { session } : { labels: files.find((file) => !isInst(file)) ?? files[0], instances: files.length > 1 ? files.find(isInst) : null };
    const { notes } = await (await send(`api/scene/${this.scene.session}/open`, fields)).json();
    say(notes.join(" ") || `opened ${files.map((file) => file.name).join(", ")}`);
  }

  async save(name) {
    const answer = await checked(await fetch(`api/scene/${this.scene.session}/${name}`));
    download(await answer.blob(), `${this.engine}_${name}`);
  }
}
