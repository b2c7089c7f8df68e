// The translate page: a drawing, and beside it what the engine makes of it while it is drawn.

import { Place, View } from "./view.js";
import { canvasOf, checked, choose, download, engineMs, keep, kept, send } from "./server.js";
import { slider, toolbox } from "./tools.js";
import { attempt } from "./app.js";
import { Sheet } from "./drawing.js";

const TOOLS = [["pen", "✎", "Pen", "b"], ["eraser", "○", "Eraser", "e"]];

export class TranslatePage {
  constructor(root) {
    this.root = root;
    this.place = new Place();
    const resize = (d) => { this.pen.value += d; };
    this.sheet = new Sheet(root.querySelector("#drawing-view"), this.place, { ink: () => this.ink(), width: () => (this.tool === "eraser" ? 6 : 1) * this.pen.value + 1, stroke: () => this.translate(), changed: () => this.changed(), resize });
    this.resultView = new View(root.querySelector("#result-view"), this.place, (context) => this.result && context.drawImage(this.result, 0, 0), () => {});
    this.mark = toolbox(root.querySelector("#translate-tools"), TOOLS, (tool) => this.choose(tool));
    this.keys = { b: "tool:pen", e: "tool:eraser", "[": "smaller", "]": "larger", 0: "fit" };
    this.pen = slider("translate-brush", "translate-size", () => this.place.redraw(), " px");
    this.colour = root.querySelector("#translate-colour");
    this.noise = root.querySelector("#noise");
    this.noise.oninput = () => this.translate();
    this.choose("pen");
  }

  async use(engine) {
    this.facts = engine;
    this.root.querySelector("#noise-box").hidden = !engine.isStochastic;
    const before = await kept(`translate.${engine.name}`);
    if (before) { await this.sheet.open(before); this.changed(); }
    else await this.act("example").catch(() => this.act("clear"));
  }

  choose(tool) { this.tool = tool; this.mark(tool); }
  ink() { return { paper: 0, colour: this.tool === "eraser" ? "#fff" : this.colour.value }; }

  shown() {
    const stage = this.root.querySelector(".views"), box = stage.getBoundingClientRect(), [width, height] = this.sheet.view.size;
    stage.classList.toggle("tall", width * box.height > height * box.width);
    requestAnimationFrame(() => this.place.fit());
  }

  changed() {
    this.translate();
    this.root.querySelector("[data-act=undo]").disabled = !this.sheet.order.length;
    this.root.querySelector("[data-act=redo]").disabled = !this.sheet.undone.length;
    clearTimeout(this.keeping);
    this.isKept = false;
    this.keeping = setTimeout(async () => { await keep(`translate.${this.facts.name}`, await this.sheet.png()); this.isKept = true; }, 400);
  }

  // One request at a time; whatever was drawn meanwhile is in the next.
  translate() {
    this.isStale = true;
    if (this.busy) return;
    this.busy = attempt(async () => {
      while (this.isStale) {
        this.isStale = false;
        const start = performance.now();
        const answer = await send(`v1/${encodeURIComponent(this.facts.name)}/translate`, { image: await this.sheet.png(), derive: false, seed: this.facts.isStochastic ? this.noise.value : null });
        this.file = await answer.blob();
        this.result = await canvasOf(this.file);
        this.resultView.size = [this.result.width, this.result.height];
        this.root.querySelector("#translate-timing").textContent = `engine ${engineMs(answer)} ms · to picture ${Math.round(performance.now() - start)} ms`;
        this.place.redraw();
      }
    }).finally(() => { this.busy = null; this.translated = (this.translated || 0) + 1; });
  }

  async act(name) {
    const [what, detail] = name.split(":");
    if (what === "tool") this.choose(detail);
    else if (what === "undo") this.sheet.undo();
    else if (what === "redo") this.sheet.redo();
    else if (what === "fit") this.place.fit();
    else if (what === "smaller" || what === "larger") this.pen.value += what === "larger" ? 1 : -1;
    else if (what === "save") download(this.file, "translation.png");
    else {
      if (what === "open") await this.sheet.open((await choose())[0]);
      else if (what === "example") await this.sheet.open(await (await checked(await fetch(`api/examples/${encodeURIComponent(this.facts.name)}/input`))).blob());
      else if (what === "clear") this.sheet.blank(...(this.sheet.papers ? this.sheet.view.size : [this.facts.size[1], this.facts.size[0]]));
      this.shown();
      this.changed();
    }
  }

  async take([file]) { await this.sheet.open(file); this.shown(); this.changed(); }
}
