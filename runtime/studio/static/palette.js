// The classes: colour, name, search.

const note = (textContent, title) => Object.assign(document.createElement("small"), { textContent, title });

export class Palette {
  constructor(root) {
    this.box = root.querySelector("#palette");
    this.search = root.querySelector("#class-search");
    this.search.addEventListener("input", () => this.filter());
    this.search.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      const first = [...this.box.children].find((one) => !one.hidden);
      if (first) { first.click(); this.search.blur(); }
    });
    this.chosen = 0;
  }
  show(classes) {
    this.classes = classes;
    this.box.replaceChildren(...classes.map(({ name, colour, isThing, isPart }, id) => {
      const button = document.createElement("button"), patch = document.createElement("i");
      patch.style.background = `rgb(${colour.join()})`;
      button.append(patch, name);
      if (isThing) button.append(note("object", "Every stroke is an object of its own"));
      if (isPart) button.append(note("part", "Stays with the object that it is painted on"));
      button.dataset.class = id;
      button.setAttribute("role", "option");
      button.onclick = () => this.choose(id);
      return button;
    }));
    const remembered = classes.findIndex(({ name }) => name === (localStorage.getItem("pix2rt.class") || "car"));
    this.choose(Math.max(0, remembered));
    this.filter();
  }
  choose(id) {
    this.chosen = id;
    localStorage.setItem("pix2rt.class", this.classes[id].name);
    for (const button of this.box.children) button.classList.toggle("on", Number(button.dataset.class) === id);
    this.reveal();
  }
  reveal() { this.box.children[this.chosen]?.scrollIntoView({ block: "nearest" }); }
  filter() {
    const wanted = this.search.value.trim().toLowerCase();
    for (const button of this.box.children) button.hidden = !this.classes[button.dataset.class].name.toLowerCase().includes(wanted);
  }
  get colour() { return `rgb(${this.classes[this.chosen].colour.join()})`; }
}
