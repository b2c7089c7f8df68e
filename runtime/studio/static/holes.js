// The holes page: a mask is painted on a photo, and the hole filled.

import { Place, View, layer, ring, trace } from "./view.js";
import { canvasOf, checked, choose, download, engineMs, keep, kept, pngOf, send } from "./server.js";
import { Paper, slider, toolbox } from "./tools.js";
import { say } from "./app.js";

const TOOLS = [["brush", "●", "Paint", "b"], ["eraser", "○", "Erase", "e"], ["rectangle", "▭", "Rectangle", "r"]];
const MISSING = "#ff3b6b";

export class HolesPage {
  constructor(root) {
    this.root = root;
    this.place = new Place();
    this.view = new View(root.querySelector("#holes-view"), this.place, (c) => this.draw(c), (...a) => this.pointer(...a), (d) => { this.brush.value += d * 2; });
    this.mark = toolbox(root.querySelector("#holes-tools"), TOOLS, (tool) => this.choose(tool));
    this.keys = { b: "tool:brush", e: "tool:eraser", r: "tool:rectangle", "[": "smaller", "]": "larger", 0: "fit", Enter: "fill" };
    const redraw = () => this.place.redraw();
    this.brush = slider("holes-brush", "holes-size", redraw, " px");
    this.overlay = slider("holes-overlay", null, redraw);
    this.compare = slider("compare", null, redraw);
    this.dilate = slider("dilate", "dilate-size", null, " px");
    this.feather = slider("feather", "feather-size", null, " px");
    this.strategy = root.querySelector("#strategy");
    this.points = [];
    this.choose("brush");
  }

  async use(engine) {
    this.engine = engine.name;
    const before = await kept(`holes.${this.engine}`);
    if (before) {
      await this.open(before.photo);
      await this.openMask(before.mask);
      if (before.result) this.result = await canvasOf(before.result);
      this.place.redraw();
    } else await this.act("example").catch(() => {});
  }

  choose(tool) { this.tool = tool; this.mark(tool); }
  shown() { requestAnimationFrame(() => this.place.fit()); }

  async open(blob) {
    this.photo = await canvasOf(blob);
    this.photoFile = blob;
    this.result = null;
    this.mask = new Paper(layer(this.photo.width, this.photo.height));
    this.view.size = [this.photo.width, this.photo.height];
    this.place.fit();
  }

  // White means missing in a file; here it is colour on nothing.
  async openMask(blob) {
    const loaded = await canvasOf(blob);
    if (loaded.width !== this.photo.width || loaded.height !== this.photo.height)
      throw new Error(`the mask is ${loaded.width}×${loaded.height}, the photo ${this.photo.width}×${this.photo.height}; give a mask of the photo's size`);
    const image = loaded.getContext("2d").getImageData(0, 0, loaded.width, loaded.height);
    const bits = new Uint8Array(image.width * image.height);
    for (let i = 0; i < bits.length; i++) bits[i] = Math.max(image.data[4 * i], image.data[4 * i + 1], image.data[4 * i + 2]) > 127 && image.data[4 * i + 3] > 127;
    this.mask.remember();
    this.write(bits);
  }

  bits() {
    const { data, width, height } = this.mask.read(), bits = new Uint8Array(width * height);
    for (let i = 0; i < bits.length; i++) bits[i] = data[4 * i + 3] > 127;
    return bits;
  }

  write(bits) {
    const { width, height } = this.mask.canvas, image = new ImageData(width, height), pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < bits.length; i++) pixels[i] = bits[i] ? 0xff6b3bff : 0;
    this.mask.context.putImageData(image, 0, 0);
    this.place.redraw();
    this.keepSoon();
  }

  maskFile() {
    const { width, height } = this.mask.canvas, canvas = layer(width, height), image = new ImageData(width, height), pixels = new Uint32Array(image.data.buffer);
    this.bits().forEach((bit, i) => { pixels[i] = bit ? 0xffffffff : 0xff000000; });
    canvas.getContext("2d").putImageData(image, 0, 0);
    return pngOf(canvas);
  }

  // By one brush radius' eighth, at least a pixel: what is within that many rows and columns.
  grow(by, value) {
    const { width, height } = this.mask.canvas;
    let bits = this.bits();
    for (const [length, count, step, next] of [[width, height, 1, width], [height, width, width, 1]]) {
      const grown = bits.slice();
      for (let row = 0; row < count; row++) for (let i = 0; i < length; i++) {
        if (bits[row * next + i * step] !== value) continue;
        for (let k = Math.max(0, i - by); k <= Math.min(length - 1, i + by); k++) grown[row * next + k * step] = value;
      }
      bits = grown;
    }
    this.write(bits);
  }

  pointer(kind, x, y) {
    if (!this.photo) return;
    this.cursor = kind === "leave" ? null : [x, y];
    if (kind === "down") { this.mask.remember(); this.points = [[x, y]]; this.paint(); }
    else if (kind === "move" && this.points.length) { if (this.tool === "rectangle") this.points[1] = [x, y]; else this.points.push([x, y]); this.paint(); }
    else if ((kind === "up" || kind === "cancel") && this.points.length) {
      if (kind === "cancel") this.mask.forget();
      this.points = []; this.write(this.bits()); this.undone();
    }
    this.place.redraw();
  }

  paint() {
    const { context } = this.mask, points = this.points.slice(-2);
    if (this.tool === "rectangle") {
      const [[x0, y0], [x1, y1]] = [this.points[0], this.points[1] || this.points[0]];
      context.putImageData(this.mask.past.at(-1), 0, 0);
      context.fillStyle = MISSING;
      context.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0) + 1, Math.abs(y1 - y0) + 1);
      return;
    }
    context.globalCompositeOperation = this.tool === "eraser" ? "destination-out" : "source-over";
    trace(context, points, 2 * this.brush.value, MISSING);
    context.globalCompositeOperation = "source-over";
  }

  draw(context) {
    if (!this.photo) return;
    context.drawImage(this.photo, 0, 0);
    const edge = this.photo.width * this.compare.value / 100;
    if (this.result) {
      context.save();
      context.beginPath(); context.rect(0, 0, edge, this.photo.height); context.clip();
      context.drawImage(this.result, 0, 0);
      context.restore();
    }
    const covered = this.result && !this.points.length ? edge : 0;
    context.save();
    context.beginPath(); context.rect(covered, 0, this.photo.width - covered, this.photo.height); context.clip();
    context.globalAlpha = this.overlay.value / 100;
    context.drawImage(this.mask.canvas, 0, 0);
    context.restore();
    if (this.result && this.compare.value < 100) { context.fillStyle = "#fff"; context.fillRect(edge - 1 / this.place.scale, 0, 2 / this.place.scale, this.photo.height); }
    if (this.cursor && this.tool !== "rectangle") ring(context, ...this.cursor, this.brush.value, this.place.scale);
  }

  keepSoon() {
    clearTimeout(this.keeping);
    this.keeping = setTimeout(async () => {
      const result = this.result && (await pngOf(this.result));
      await keep(`holes.${this.engine}`, { photo: this.photoFile, mask: await this.maskFile(), result });
      this.isKept = true;
    }, 500);
    this.isKept = false;
  }

  undone() {
    this.root.querySelector("[data-act=undo]").disabled = !this.mask?.past.length;
    this.root.querySelector("[data-act=redo]").disabled = !this.mask?.future.length;
  }

  async fill() {
    this.request?.abort();
    this.request = new AbortController();
    const button = this.root.querySelector("[data-act=fill]"), start = performance.now();
    button.textContent = "Filling …";
    try {
      const fields = { image: this.photoFile, mask: await this.maskFile(), dilate: this.dilate.value, feather: this.feather.value, strategy: this.strategy.value };
      const answer = await send(`v1/${encodeURIComponent(this.engine)}/inpaint`, fields, this.request.signal);
      this.resultFile = await answer.blob();
      this.result = await canvasOf(this.resultFile);
      this.compare.value = 100;
      this.root.querySelector("#holes-timing").textContent = `engine ${engineMs(answer)} ms · to picture ${Math.round(performance.now() - start)} ms`;
      this.filled = (this.filled || 0) + 1;
      this.keepSoon();
    } finally { button.textContent = "Fill the hole"; }
    this.place.redraw();
  }

  async act(name) {
    const [what, detail] = name.split(":"), by = Math.max(1, Math.round(this.brush.value / 8));
    if (what === "tool") this.choose(detail);
    else if (what === "open") { const [file] = await choose(); await this.open(file); this.keepSoon(); }
    else if (what === "example") {
      const [photo, mask] = await Promise.all(["photo", "mask"].map(async (one) => (await checked(await fetch(`api/examples/${encodeURIComponent(this.engine)}/${one}`))).blob()));
      await this.open(photo);
      await this.openMask(mask);
    } else if (what === "fit") this.place.fit();
    else if (!this.photo) say("open a photo first");
    else if (what === "open-mask") { const [file] = await choose(); await this.openMask(file); }
    else if (what === "save-mask") download(await this.maskFile(), "mask.png");
    else if (what === "undo") { this.mask.undo(); this.keepSoon(); }
    else if (what === "redo") { this.mask.redo(); this.keepSoon(); }
    else if (what === "smaller" || what === "larger") this.brush.value += what === "larger" ? 2 : -2;
    else if (what === "fill") await this.fill();
    else if (!["again", "save"].includes(what)) {
      this.mask.remember();
      if (what === "grow") this.grow(by, 1);
      else if (what === "shrink") this.grow(by, 0);
      else if (what === "invert") this.write(this.bits().map((bit) => 1 - bit));
      else if (what === "clear") this.write(this.bits().fill(0));
    } else if (!this.result) say("fill the hole first");
    else if (what === "save") download(this.resultFile ?? (await pngOf(this.result)), "filled.png");
    else { this.photo = this.result; this.photoFile = await pngOf(this.result); this.result = null; this.keepSoon(); }
    this.undone();
    this.place.redraw();
  }

  // Beside an open photo a file whose name says so is a mask.
  async take(files) {
    const isMask = (file) => this.photo && /mask|hole/i.test(file.name), photo = files.find((file) => !isMask(file));
    if (photo) await this.open(photo);
    for (const mask of files.filter(isMask)) await this.openMask(mask);
    this.keepSoon();
  }
}
