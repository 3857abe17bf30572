// Two pictures compared: side by side, laid over each other, blinking, as their difference; zoom and pan in step.
// It makes no requests and knows nothing of runs: whoever uses it gives addresses, sizes, boxes and the map.

const MODES = [
  ["side", "Side by side", "S"],
  ["overlay", "Overlay", "O"],
  ["difference", "Difference", "D"],
  ["blink", "Blink", "space"],
];
const MOST = 32; // times enlarged
const STEP = 1.25;

const made = (tag, name, text) => {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
};

export class PairView {
  // root: an empty element. Nothing outside of it is touched, and no keys are taken but on the stage itself.
  constructor(root) {
    this.root = root;
    root.classList.add("pv");
    this.mode = "side";
    this.showsFirst = true; // of the two that blink
    this.map = null;
    this.view = { x: 0, y: 0, zoom: 1 };
    this.sizes = [{ width: 1, height: 1 }, { width: 1, height: 1 }];
    this.#build();
    this.#drag();
    new ResizeObserver(() => this.#place()).observe(this.stage);
    this.setMode("side");
  }

  // pair: {a, b, map}; a and b: {src, alt, width, height, boxes: [[left, top, right, bottom], …], missing: why there is no picture}.
  // map: six numbers, row by row, from places in the unit square of b to those of a; null: not known.
  show(pair) {
    this.single = !pair.b;
    ["a", "b"].forEach((side, k) => this.#fill(this.layers[k], pair[side], k));
    this.setMap(pair.map ?? null);
    this.showsFirst = true;
    this.reset();
  }

  setMap(map) {
    this.map = map;
    this.#place();
  }

  setMode(mode) {
    this.mode = mode;
    this.root.dataset.mode = mode;
    for (const [name, button] of this.buttons) button.setAttribute("aria-pressed", String(name === mode));
    const together = mode !== "side" && !this.single;
    this.panes[1].hidden = together || Boolean(this.single);
    (together ? this.planes[0] : this.planes[1]).append(this.layers[1]);
    this.layers[1].classList.toggle("pv-over", together);
    this.share.parentElement.hidden = mode !== "overlay";
    this.#place();
  }

  // The first press shows the first picture, each further one the other of the two.
  blink() {
    if (this.mode === "blink") this.showsFirst = !this.showsFirst;
    else this.setMode("blink");
    this.#place();
  }

  zoom(factor, at = { x: 0.5, y: 0.5 }) {
    const zoom = Math.min(MOST, Math.max(1, this.view.zoom * factor));
    const grown = zoom / this.view.zoom;
    this.view.x = at.x - (at.x - this.view.x) * grown;
    this.view.y = at.y - (at.y - this.view.y) * grown;
    this.view.zoom = zoom;
    this.#place();
  }

  pan(x, y) {
    this.view.x += x;
    this.view.y += y;
    this.#place();
  }

  reset() {
    this.view = { x: 0, y: 0, zoom: 1 };
    this.#place();
  }

  toggleBoxes() {
    this.boxes.checked = !this.boxes.checked;
    this.#place();
  }

  // What the note below the pictures says.
  note(text) { this.said.textContent = text; }

  #build() {
    const tools = made("div", "pv-tools");
    tools.setAttribute("role", "toolbar");
    tools.setAttribute("aria-label", "How the two are shown");
    this.buttons = new Map();
    for (const [mode, text, key] of MODES) {
      const button = made("button", "", text);
      button.type = "button";
      button.title = `${text} (${key})`;
      button.addEventListener("click", () => (mode === "blink" ? this.blink() : this.setMode(mode)));
      this.buttons.set(mode, button);
      tools.append(button);
    }
    this.share = made("input");
    Object.assign(this.share, { type: "range", min: 0, max: 100, value: 50 });
    this.share.addEventListener("input", () => this.#place());
    tools.append(this.#labelled("share of B", this.share), made("span", "pv-gap"));
    for (const [text, name, act] of [
      ["−", "Zoom out (-)", () => this.zoom(1 / STEP)],
      ["+", "Zoom in (+)", () => this.zoom(STEP)],
      ["1:1", "Whole pictures (0)", () => this.reset()],
    ]) {
      const button = made("button", "", text);
      button.type = "button";
      button.title = name;
      button.setAttribute("aria-label", name);
      button.addEventListener("click", act);
      tools.append(button);
    }
    this.boxes = made("input");
    this.boxes.type = "checkbox";
    this.boxes.checked = true;
    this.boxes.addEventListener("change", () => this.#place());
    tools.append(this.#labelled("boxes", this.boxes));

    this.stage = made("div", "pv-stage");
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "group");
    this.stage.setAttribute("aria-label", "The two pictures; plus and minus zoom, arrow keys move");
    this.panes = [made("div", "pv-pane"), made("div", "pv-pane")];
    this.planes = [made("div", "pv-plane"), made("div", "pv-plane")];
    this.layers = [made("div", "pv-layer"), made("div", "pv-layer")];
    this.names = [made("span", "pv-name", "A"), made("span", "pv-name", "B")];
    this.panes.forEach((pane, k) => {
      const picture = made("img");
      picture.decoding = "async";
      picture.addEventListener("load", () => { if (this.layers[k].dataset.missing === "") this.layers[k].classList.remove("pv-missing"); });
      picture.addEventListener("error", () => { if (picture.getAttribute("src")) this.#missing(k, "There is no picture."); });
      this.layers[k].append(picture, made("span", "pv-none"));
      this.planes[k].append(this.layers[k]);
      pane.append(this.planes[k], this.names[k]);
    });
    this.stage.append(...this.panes);
    this.said = made("p", "pv-note");
    this.said.setAttribute("aria-live", "polite");
    this.root.replaceChildren(tools, this.stage, this.said);
    this.stage.addEventListener("keydown", (event) => this.#key(event));
  }

  #labelled(text, input) {
    const label = made("label");
    label.append(input, text);
    return label;
  }

  #missing(k, why) {
    this.layers[k].classList.add("pv-missing");
    this.layers[k].querySelector(".pv-none").textContent = why;
  }

  #fill(layer, side, k) {
    const picture = layer.querySelector("img");
    for (const box of layer.querySelectorAll(".pv-box")) box.remove();
    layer.classList.remove("pv-missing");
    layer.dataset.missing = side?.missing ?? "";
    if (!side || side.missing) {
      picture.removeAttribute("src");
      picture.alt = "";
      if (side) this.#missing(k, side.missing);
      this.sizes[k] = { width: 4, height: 3 };
      return;
    }
    picture.alt = side.alt;
    picture.src = side.src;
    this.sizes[k] = { width: side.width || 4, height: side.height || 3 };
    for (const [left, top, right, bottom] of side.boxes ?? []) {
      const box = made("span", "pv-box");
      const share = (value, whole) => `${(100 * value) / whole}%`;
      box.style.left = share(left, this.sizes[k].width);
      box.style.top = share(top, this.sizes[k].height);
      box.style.width = share(right - left, this.sizes[k].width);
      box.style.height = share(bottom - top, this.sizes[k].height);
      layer.append(box);
    }
  }

  // Puts both planes where the zoom says; a plane has the shape of its picture and fits its pane.
  #place() {
    if (!this.stage) return;
    const together = this.mode !== "side" && !this.single;
    this.panes.forEach((pane, k) => {
      if (pane.hidden) return;
      const { width, height } = this.sizes[k];
      const fit = Math.min(pane.clientWidth / width, pane.clientHeight / height) || 0;
      const [w, h] = [width * fit, height * fit];
      const plane = this.planes[k];
      plane.style.width = `${w}px`;
      plane.style.height = `${h}px`;
      const left = (pane.clientWidth - w) / 2, top = (pane.clientHeight - h) / 2;
      const { x, y, zoom } = this.view;
      const moved = [left * zoom + x * pane.clientWidth, top * zoom + y * pane.clientHeight];
      plane.style.transform = `translate(${moved[0]}px, ${moved[1]}px) scale(${zoom})`;
    });
    const over = this.layers[1];
    over.style.transform = together ? this.#matrix() : "";
    const shares = { overlay: this.share.value / 100, difference: 1, blink: this.showsFirst ? 0 : 1 };
    over.style.opacity = together ? shares[this.mode] : 1;
    this.layers[0].style.visibility = together && this.mode === "blink" && !this.showsFirst ? "hidden" : "";
    this.names[0].textContent = !together ? "A" : this.mode === "blink" ? (this.showsFirst ? "A" : "B") : "A and B";
    for (const layer of this.layers) for (const box of layer.querySelectorAll(".pv-box")) box.hidden = !this.boxes.checked;
  }

  #matrix() {
    if (!this.map) return "";
    const [xx, xy, x, yx, yy, y] = this.map;
    const w = this.planes[0].clientWidth, h = this.planes[0].clientHeight;
    if (!w || !h) return "";
    return `matrix(${xx}, ${(yx * h) / w}, ${(xy * w) / h}, ${yy}, ${x * w}, ${y * h})`;
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 0.08;
    const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (event.key in moves) this.pan(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(STEP);
    else if (event.key === "-") this.zoom(1 / STEP);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #drag() {
    let from = null;
    this.stage.addEventListener("pointerdown", (event) => {
      const pane = event.target.closest?.(".pv-pane");
      if (pane) from = { x: event.clientX, y: event.clientY, pane };
    });
    addEventListener("pointermove", (event) => {
      if (!from) return;
      this.pan((event.clientX - from.x) / from.pane.clientWidth, (event.clientY - from.y) / from.pane.clientHeight);
      from = { ...from, x: event.clientX, y: event.clientY };
    });
    for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { from = null; });
    this.stage.addEventListener("wheel", (event) => {
      const pane = event.target.closest?.(".pv-pane");
      if (!pane || !(event.ctrlKey || event.metaKey || this.view.zoom > 1 || event.shiftKey)) return;
      event.preventDefault();
      const box = pane.getBoundingClientRect();
      const at = { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
      this.zoom(event.deltaY < 0 ? STEP : 1 / STEP, at);
    }, { passive: false });
  }
}
