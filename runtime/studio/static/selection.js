// The selected object: its outline, its styles as small pictures, and what can be done with it.

import { layer } from "./view.js";
import { choose, send } from "./server.js";

export class Selection {
  constructor(root, page) { this.root = root; this.page = page; this.id = null; }
  find(id) { return this.root.querySelector(id); }

  select(id) {
    const isNew = id !== this.id;
    this.id = id;
    this.refresh();
    if (id !== null && this.box && isNew) this.askSwatches();
  }

  // Where it is, and its outline; it may have changed or gone.
  refresh() {
    const { page } = this, { ids, scene } = page;
    this.box = null;
    if (this.id !== null && page.hasMaps) this.box = bounds(ids, scene.width, this.id);
    if (this.id !== null && !this.box) { this.id = null; }
    this.find("#selected-actions").hidden = !this.box;
    this.find("#selected-hint").hidden = Boolean(this.box);
    this.find("#selected-name").textContent = this.box ? page.nameOf({ id: this.id, class: this.classId }) : "Nothing selected";
    this.outline = this.box && outlined(ids, scene.width, scene.height, this.id, this.box);
    page.place.redraw();
  }

  get classId() { return this.page.labels[this.box.first]; }

  draw(context) { if (this.outline) context.drawImage(this.outline, this.box.left - 1, this.box.top - 1); }

  drawMoved(context, [start, end]) {
    if (this.outline && end) context.drawImage(this.outline, this.box.left - 1 + end[0] - start[0], this.box.top - 1 + end[1] - start[1]);
  }

  askSwatches() {
    const about = this.page.scene.classes[this.classId], swatches = this.find("#swatches"), text = document.createElement("p");
    text.className = "faint";
    text.textContent = about.styles ? "drawing its styles …" : "This class has no styles.";
    swatches.replaceChildren(text);
    this.find("#photo-style").hidden = !this.page.scene.hasEncoder;
    if (about.styles) this.page.socket.send(JSON.stringify({ op: "swatches", instance: this.id }));
  }

  showSwatches({ instance, count, side, chosen }, buffer, start) {
    if (instance !== this.id) return;
    const pictures = Array.from({ length: count }, (_, style) => {
      const canvas = layer(side, side), size = 4 * side * side;
      canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(buffer, start + style * size, size), side, side), 0, 0);
      canvas.title = `Style ${style}`;
      canvas.dataset.style = style;
      canvas.classList.toggle("on", style === chosen);
      canvas.onclick = () => {
        this.page.ask({ op: "restyle", instance: this.id, style });
        for (const one of pictures) one.classList.toggle("on", one === canvas);
      };
      return canvas;
    });
    this.find("#swatches").replaceChildren(...pictures);
  }

  async act(what) {
    if (!this.box) return;
    const { page, id } = this;
    if (what === "remove") page.ask({ op: "remove", instance: id });
    else if (what === "duplicate") page.ask({ op: "duplicate", instance: id, dx: this.box.right - this.box.left, dy: 0 }, (made) => this.select(made));
    else if (what === "relabel") page.ask({ op: "relabel", instance: id, class: page.palette.chosen });
    else if (what === "photo-style") {
      const [photo] = await choose();
      await send(`api/scene/${page.scene.session}/restyle`, { instance: id, photo });
    }
  }
}

function bounds(ids, width, id) {
  let first = -1, last = -1, left = width, right = 0;
  for (let i = 0; i < ids.length; i++) if (ids[i] === id) {
    if (first < 0) first = i;
    last = i;
    const x = i % width;
    if (x < left) left = x;
    if (x >= right) right = x + 1;
  }
  return first < 0 ? null : { first, top: Math.floor(first / width), bottom: Math.floor(last / width) + 1, left, right };
}

function outlined(ids, width, height, id, { top, bottom, left, right }) {
  const canvas = layer(right - left + 2, bottom - top + 2), image = new ImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer), has = (x, y) => x >= 0 && y >= 0 && x < width && y < height && ids[y * width + x] === id;
  for (let y = top - 1; y <= bottom; y++) for (let x = left - 1; x <= right; x++) {
    if (has(x, y)) continue;
    if (has(x - 1, y) || has(x + 1, y) || has(x, y - 1) || has(x, y + 1)) pixels[(y - top + 1) * canvas.width + x - left + 1] = (x + y) & 4 ? 0xffffffff : 0xff20d0ff;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
