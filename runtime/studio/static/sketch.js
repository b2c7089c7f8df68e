// The sketch page: a drawing with hints in colour, and the search for its photo, watched step by step.

import { Place, View, layer } from "./view.js";
import { canvasOf, checked, choose, download, keep, kept, socket } from "./server.js";
import { slider, toolbox } from "./tools.js";
import { say } from "./app.js";
import { Sheet } from "./drawing.js";

const TOOLS = [["pen", "✎", "Pen", "b"], ["hint", "●", "Hint", "h"], ["eraser", "○", "Eraser", "e"]];
const SIDE = 384;

export class SketchPage {
  constructor(root) {
    this.root = root;
    this.place = new Place(); this.facePlace = new Place();
    this.sheet = new Sheet(root.querySelector("#sketch-view"), this.place, { ink: () => this.ink(), width: () => this.pen.value * (this.tool === "pen" ? 1 : 4), changed: () => this.changed(), resize: (d) => { this.pen.value += d; } });
    this.faceView = new View(root.querySelector("#face-view"), this.facePlace, (context) => this.face && context.drawImage(this.face, 0, 0), () => {});
    this.faceView.isSmooth = true;
    this.mark = toolbox(root.querySelector("#sketch-tools"), TOOLS, (tool) => this.choose(tool));
    this.keys = { b: "tool:pen", h: "tool:hint", e: "tool:eraser", "[": "smaller", "]": "larger", 0: "fit", Enter: "search" };
    this.pen = slider("sketch-brush", "sketch-size", () => this.place.redraw(), " px");
    this.steps = slider("steps", "steps-size");
    this.restarts = slider("restarts", "restarts-size");
    this.losses = [];
    this.choose("pen");
  }

  async use(engine) {
    this.engine = engine.name;
    const before = await kept(`sketch.${this.engine}`);
    if (!before) { await this.act("example").catch(() => this.act("clear")); return; }
    await this.sheet.open(before.sketch);
    this.sheet.papers[1].context.drawImage(await canvasOf(before.hint), 0, 0);
    if (before.face) { this.file = before.face; this.showFace(await canvasOf(before.face)); }
  }

  choose(tool) { this.tool = tool; this.mark(tool); }
  ink() {
    if (this.tool === "hint") return { paper: 1, colour: this.root.querySelector("#hint-colour").value };
    if (this.tool === "eraser") return { paper: this.sheet.hasHint && this.erasesHint() ? 1 : 0, colour: "#fff", erases: true };
    return { paper: 0, colour: "#000" };
  }

  // The eraser takes a hint where it begins on one, else the drawing.
  erasesHint() {
    const [x, y] = this.sheet.points[0] ?? this.sheet.cursor ?? [0, 0];
    return this.sheet.points.length ? this.wasHint : (this.wasHint = this.sheet.papers[1].context.getImageData(x, y, 1, 1).data[3] > 0);
  }

  shown() { requestAnimationFrame(() => { this.place.fit(); if (this.face) this.facePlace.fit(); this.drawCurve(); }); }

  showFace(canvas) {
    const isNew = !this.face;
    this.face = canvas;
    this.faceView.size = [canvas.width, canvas.height];
    if (isNew) this.facePlace.fit();
    this.facePlace.redraw();
  }

  changed() {
    this.root.querySelector("[data-act=undo]").disabled = !this.sheet.order.length;
    this.root.querySelector("[data-act=redo]").disabled = !this.sheet.undone.length;
    clearTimeout(this.keeping);
    this.isKept = false;
    this.keeping = setTimeout(async () => {
      await keep(`sketch.${this.engine}`, { sketch: await this.sheet.png(), hint: await this.sheet.png(1), face: this.file });
      this.isKept = true;
    }, 400);
  }

  async search() {
    this.stop();
    const hint = this.sheet.hasHint ? await this.sheet.png(1) : null, sketch = await this.sheet.png();
    const options = { given: "sketch", iterations: this.steps.value, restarts: this.restarts.value, seed: Number(this.root.querySelector("#search-seed").value) || 0, hint: Boolean(hint) };
    const opened = (this.socket = socket(`/ws/complete/${encodeURIComponent(this.engine)}`));
    this.losses = []; this.of = options.iterations; this.isDone = false;
    this.running(true);
    let last;
    opened.onopen = () => { opened.send(JSON.stringify(options)); opened.send(sketch); if (hint) opened.send(hint); };
    opened.onmessage = async (event) => {
      if (typeof event.data !== "string") return this.takePicture(new Blob([event.data], { type: "image/png" }), last);
      last = JSON.parse(event.data);
      if (last.type === "error") say(last.message, true);
      else if (last.type === "step") { this.losses.push(last.loss); this.drawCurve(); this.tell(`step ${last.iteration} of ${last.of} · loss ${last.loss.toFixed(4)}`); }
      else this.tell(`best at step ${last.iteration} of ${last.steps}`);
    };
    opened.onclose = () => { if (opened === this.socket) this.running(false); };
  }

  // Steps come as [sketch | photo]; the end is the photo alone.
  async takePicture(blob, { type }) {
    const canvas = await canvasOf(blob);
    if (type === "done") { this.file = blob; this.showFace(canvas); this.isDone = true; this.changed(); return; }
    if (this.isDone) return;
    const half = layer(canvas.height, canvas.height);
    half.getContext("2d").drawImage(canvas, -canvas.height, 0);
    this.showFace(half);
  }

  stop() { if (this.socket?.readyState === WebSocket.OPEN) this.socket.send("stop"); }
  running(is) { this.root.querySelector("[data-act=stop]").disabled = !is; this.isRunning = is; }
  tell(text) { this.root.querySelector("#sketch-timing").textContent = text; }

  drawCurve() {
    const canvas = this.root.querySelector("#curve"), width = (canvas.width = canvas.clientWidth * devicePixelRatio), height = (canvas.height = 90 * devicePixelRatio);
    const context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement), pad = 10 * devicePixelRatio;
    context.fillStyle = style.getPropertyValue("--faint");
    context.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    context.fillText("contextual loss", pad, 1.8 * pad);
    if (!this.losses.length) return;
    const most = Math.max(...this.losses), least = Math.min(...this.losses), span = most - least || 1;
    context.strokeStyle = style.getPropertyValue("--accent");
    context.lineWidth = 2 * devicePixelRatio;
    context.beginPath();
    this.losses.forEach((loss, i) => context.lineTo(pad + (width - 2 * pad) * i / Math.max(1, this.of), height - pad - (height - 3 * pad) * (loss - least) / span));
    context.stroke();
  }

  async act(name) {
    const [what, detail] = name.split(":");
    if (what === "tool") this.choose(detail);
    else if (what === "undo") this.sheet.undo();
    else if (what === "redo") this.sheet.redo();
    else if (what === "fit") { this.place.fit(); this.facePlace.fit(); }
    else if (what === "smaller" || what === "larger") this.pen.value += what === "larger" ? 1 : -1;
    else if (what === "search") await this.search();
    else if (what === "stop") this.stop();
    else if (what === "save") { if (this.file) download(this.file, "photo.png"); else say("search the photo first"); }
    else {
      if (what === "open") await this.enlarge((await choose())[0]);
      else if (what === "example") await this.enlarge(await (await checked(await fetch(`api/examples/${encodeURIComponent(this.engine)}/sketch`))).blob());
      else if (what === "clear") this.sheet.blank(SIDE, SIDE);
      this.changed();
    }
  }

  // Small drawings are enlarged, so that a pen has room.
  async enlarge(blob) {
    const drawn = await canvasOf(blob), factor = Math.max(1, Math.round(SIDE / Math.max(drawn.width, drawn.height)));
    const canvas = layer(drawn.width * factor, drawn.height * factor), context = canvas.getContext("2d");
    context.drawImage(drawn, 0, 0, canvas.width, canvas.height);
    this.sheet.lay(canvas);
  }

  async take([file]) { await this.enlarge(file); this.changed(); }
}
