// Canvases that show layers of one picture, with zoom, pan and pointers in the picture's pixels. Several may share one place.

const LEAST = 0.02, MOST = 64;

export class Place {
  constructor() { this.scale = 1; this.x = 0; this.y = 0; this.fitted = true; this.views = []; }
  redraw() { for (const view of this.views) view.redraw(); }
  fit() {
    const view = this.views[0], { width, height } = view.canvas.getBoundingClientRect();
    if (!view.size[0] || !width) return;
    this.scale = Math.min(width / view.size[0], height / view.size[1]) * 0.97;
    this.x = (width - view.size[0] * this.scale) / 2;
    this.y = (height - view.size[1] * this.scale) / 2;
    this.fitted = true;
    this.redraw();
  }
  zoom(factor, x, y) {
    const scale = Math.min(MOST, Math.max(LEAST, this.scale * factor));
    this.x = x - (x - this.x) * scale / this.scale;
    this.y = y - (y - this.y) * scale / this.scale;
    this.scale = scale; this.fitted = false;
    this.redraw();
  }
  pan(dx, dy) { this.x += dx; this.y += dy; this.fitted = false; this.redraw(); }
}

export class View {
  // `draw(context)` paints in picture pixels; `pointer(kind, x, y, event)` gets "down", "move", "up", "hover" and "leave".
  constructor(canvas, place, draw, pointer, resizeBrush) {
    Object.assign(this, { canvas, place, draw, pointer, resizeBrush, size: [0, 0], pending: false });
    this.touches = new Map(); this.panning = null;
    place.views.push(this);
    new ResizeObserver(() => (place.fitted ? place.fit() : this.redraw())).observe(canvas);
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    for (const kind of ["down", "move", "up", "cancel", "leave"]) canvas.addEventListener(`pointer${kind}`, (event) => this[kind](event));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }
  redraw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => { this.pending = false; this.paint(); });
  }
  paint() {
    const ratio = devicePixelRatio, box = this.canvas.getBoundingClientRect();
    const width = Math.round(box.width * ratio), height = Math.round(box.height * ratio);
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height) { this.canvas.width = width; this.canvas.height = height; }
    const context = this.canvas.getContext("2d"), { scale, x, y } = this.place;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(scale * ratio, 0, 0, scale * ratio, x * ratio, y * ratio);
    context.imageSmoothingEnabled = this.isSmooth || scale < 2;
    this.draw(context);
  }
  at(event) {
    const box = this.canvas.getBoundingClientRect(), { scale, x, y } = this.place;
    return [Math.floor((event.clientX - box.left - x) / scale), Math.floor((event.clientY - box.top - y) / scale)];
  }
  wheel(event) {
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    if (event.altKey || event.shiftKey) this.resizeBrush?.((event.deltaY || event.deltaX) < 0 ? 1 : -1);
    else this.place.zoom(Math.exp(-event.deltaY * 0.0016), event.clientX - box.left, event.clientY - box.top);
  }
  down(event) {
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") {
      this.touches.set(event.pointerId, event);
      if (this.touches.size === 2) { this.pointer("cancel", 0, 0, event); this.drawing = false; return; }
    }
    if (event.button === 1 || event.button === 2 || View.isPanning) { this.panning = event; return; }
    this.drawing = true;
    this.pointer("down", ...this.at(event), event);
  }
  move(event) {
    if (this.touches.size === 2) { this.pinch(event); return; }
    if (this.panning) {
      this.place.pan(event.clientX - this.panning.clientX, event.clientY - this.panning.clientY);
      this.panning = event;
    } else if (this.drawing) for (const part of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) this.pointer("move", ...this.at(part), part);
    else this.pointer("hover", ...this.at(event), event);
  }
  pinch(event) {
    const other = [...this.touches.values()].find((one) => one.pointerId !== event.pointerId);
    const last = this.touches.get(event.pointerId), box = this.canvas.getBoundingClientRect();
    if (!other || !last) return;
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
    this.place.pan((event.clientX - last.clientX) / 2, (event.clientY - last.clientY) / 2);
    this.place.zoom(apart(event) / apart(last), (event.clientX + other.clientX) / 2 - box.left, (event.clientY + other.clientY) / 2 - box.top);
    this.touches.set(event.pointerId, event);
  }
  up(event) {
    this.touches.delete(event.pointerId);
    this.panning = null;
    if (this.drawing) { this.drawing = false; this.pointer("up", ...this.at(event), event); }
  }
  cancel(event) { this.touches.delete(event.pointerId); this.panning = null; if (this.drawing) { this.drawing = false; this.pointer("cancel", 0, 0, event); } }
  leave(event) { if (!this.drawing) this.pointer("leave", -1, -1, event); }
}
View.isPanning = false;
addEventListener("keydown", (event) => { if (event.code === "Space" && !/INPUT|SELECT|BUTTON|SUMMARY/.test(event.target.tagName)) { View.isPanning = true; event.preventDefault(); } });
addEventListener("keyup", (event) => { if (event.code === "Space") View.isPanning = false; });

export function layer(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width; canvas.height = height;
  return canvas;
}

// A line as a person draws it: pixel centres are at whole coordinates, so the context is moved by half a pixel.
export function trace(context, points, width, colour) {
  context.save();
  context.translate(0.5, 0.5);
  Object.assign(context, { lineWidth: Math.max(1, width), lineCap: "round", lineJoin: "round", strokeStyle: colour, fillStyle: colour });
  context.beginPath();
  context.moveTo(...points[0]);
  for (const point of points.length > 1 ? points.slice(1) : points) context.lineTo(...point);
  context.stroke();
  context.restore();
}

export function ring(context, x, y, radius, scale) {
  context.save();
  for (const [colour, width] of [["#000", 3], ["#fff", 1.2]]) {
    Object.assign(context, { strokeStyle: colour, lineWidth: width / scale });
    context.beginPath();
    context.arc(x + 0.5, y + 0.5, Math.max(0.5, radius), 0, 7);
    context.stroke();
  }
  context.restore();
}
