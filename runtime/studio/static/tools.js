// Buttons and sliders that pages have in common, and the strokes that canvases share.

export function toolbox(box, tools, chosen) {
  const buttons = new Map();
  for (const [name, sign, title, key] of tools) {
    const button = box.appendChild(document.createElement("button"));
    button.innerHTML = `<b>${sign}</b>`;
    button.append(title);
    Object.assign(button, { title: `${title} (${key.toUpperCase()})`, onclick: () => chosen(name) });
    button.dataset.tool = name;
    buttons.set(name, button);
  }
  return (name) => { for (const [one, button] of buttons) button.classList.toggle("on", one === name); };
}

export function slider(id, outputId, changed, unit = "") {
  const input = document.getElementById(id), output = outputId && document.getElementById(outputId);
  const tell = () => { if (output) output.textContent = input.value + unit; changed?.(Number(input.value)); };
  input.addEventListener("input", tell);
  tell();
  return { get value() { return Number(input.value); }, set value(value) { input.value = value; tell(); } };
}

// Whole-canvas history: pages of small pictures keep what was there before each stroke.
export class Paper {
  constructor(canvas) { this.canvas = canvas; this.past = []; this.future = []; }
  get context() { return this.canvas.getContext("2d", { willReadFrequently: true }); }
  read() { return this.context.getImageData(0, 0, this.canvas.width, this.canvas.height); }
  remember() { this.past.push(this.read()); this.future = []; if (this.past.length > 40) this.past.shift(); }
  step(from, to) {
    if (!from.length) return false;
    to.push(this.read());
    const image = from.pop();
    this.canvas.width = image.width; this.canvas.height = image.height;
    this.context.putImageData(image, 0, 0);
    return true;
  }
  undo() { return this.step(this.past, this.future); }
  redo() { return this.step(this.future, this.past); }
  // A stroke that came to nothing: as it was remembered.
  forget() { this.undo(); this.future = []; }
}
