// A sheet of paper that is drawn on: what the sketch and the translate page share.

import { View, layer, ring, trace } from "./view.js";
import { canvasOf, pngOf } from "./server.js";
import { Paper } from "./tools.js";

export class Sheet {
  // `stroke()` is called while drawing and `changed()` once a stroke is done; `ink()` says how it is drawn.
  constructor(canvas, place, { ink, width, stroke, changed, resize }) {
    Object.assign(this, { place, ink, width, stroke, changed, points: [] });
    this.view = new View(canvas, place, (context) => this.draw(context), (...a) => this.pointer(...a), resize);
  }

  blank(width, height) { this.lay(layer(width, height)); const { context } = this.papers[0]; context.fillStyle = "#fff"; context.fillRect(0, 0, width, height); }

  // A picture, and over it a transparent sheet for hints.
  lay(canvas) {
    const ground = layer(canvas.width, canvas.height), context = ground.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#fff"; context.fillRect(0, 0, ground.width, ground.height); context.drawImage(canvas, 0, 0);
    this.papers = [new Paper(ground), new Paper(layer(canvas.width, canvas.height))];
    this.order = []; this.undone = [];
    this.view.size = [canvas.width, canvas.height];
    this.place.fit();
  }

  async open(blob) { this.lay(await canvasOf(blob)); }
  png(index = 0) { return pngOf(this.papers[index].canvas); }
  get hasHint() { return new Uint32Array(this.papers[1].read().data.buffer).some((pixel) => pixel); }
  remember(index) { this.papers[index].remember(); this.order.push(index); this.undone = []; }

  pointer(kind, x, y) {
    if (!this.papers) return;
    this.cursor = kind === "leave" ? null : [x, y];
    const { paper, colour, erases } = this.ink();
    if (kind === "down") { this.remember(paper); this.points = [[x, y]]; }
    else if (kind === "move" && this.points.length) this.points.push([x, y]);
    else if ((kind === "up" || kind === "cancel") && this.points.length) {
      if (kind === "cancel") this.papers[this.order.pop()].forget();
      this.points = []; this.changed();
    }
    if ((kind === "down" || kind === "move") && this.points.length) {
      const { context } = this.papers[paper];
      context.globalCompositeOperation = erases && paper ? "destination-out" : "source-over";
      trace(context, this.points.slice(-2), this.width(), colour);
      context.globalCompositeOperation = "source-over";
      this.stroke?.();
    }
    this.place.redraw();
  }

  step(from, to, how) {
    const index = from.pop();
    if (index === undefined) return;
    this.papers[index][how]();
    to.push(index);
    this.changed();
    this.place.redraw();
  }
  undo() { this.step(this.order, this.undone, "undo"); }
  redo() { this.step(this.undone, this.order, "redo"); }

  draw(context) {
    if (!this.papers) return;
    for (const { canvas } of this.papers) context.drawImage(canvas, 0, 0);
    if (this.cursor) ring(context, ...this.cursor, this.width() / 2, this.place.scale);
  }
}
