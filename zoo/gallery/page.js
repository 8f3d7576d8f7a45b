/* The page: what can be done with the models, section by section. */

const LANGUAGES = ["en", "zh"];
const SAMPLES = 64, OF_LABEL = 8, MAX_SAMPLES = 128, COMPARED = 16, STEPS = 16;
const SHOWN_SLIDERS = 32, REACH = 3, MAP = 15, RING = 90;
const MAX_SEED = 2 ** 32 - 1, DIGITS = "examples-mnist";

/** An element with attributes, listeners (`on...`) and children. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Texts in the language that is chosen; elements of the page that show one follow its change. */
class Words {
  constructor(table) {
    this.table = table;
    this.language = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
    this.telling = new WeakMap();
  }

  get(key, values = {}) {
    const text = this.table[this.language][key] ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  }

  /** Show a text in an element, or as its attribute, in whatever language; an element has one. */
  show(node, key, attribute = null, values = {}) {
    const tell = () => {
      if (attribute) node.setAttribute(attribute, this.get(key, values));
      else node.textContent = this.get(key, values);
    };
    node.dataset.text = key;
    this.telling.set(node, tell);
    tell();
    return node;
  }

  change(language) {
    this.language = language;
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    for (const node of document.querySelectorAll("[data-text]")) this.telling.get(node)();
  }
}

/** What all sections use. */
class Gallery {
  constructor(data, runner) {
    this.models = data.models;
    this.sets = data.examples;
    this.words = new Words(data.words);
    this.runner = runner;
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  /** Places of the models with all of these parts. */
  having(...parts) {
    return this.models.map((_, place) => place).filter((place) =>
      parts.every((part) => this.models[place].parts.includes(part)));
  }

  /** Places of decoders whose codes are noise, nothing else. */
  plain() {
    return this.having("decode").filter((place) => !Object.keys(this.models[place].prior).length);
  }

  /** Decode a code and draw the image. */
  async decode(canvas, place, code, key, spot = null) {
    const pixels = await this.runner.run(place, "decode", code, key);
    if (pixels) this.draw(canvas, place, pixels, spot);
    return pixels;
  }

  /**
   * Draw an image of a model's, padded or not: as large as it is, or in a spot [x, y, side] of a
   * canvas.
   */
  draw(canvas, place, pixels, spot = null) {
    const { shown, channels } = this.models[place], side = Math.sqrt(pixels.length / channels);
    const cut = (side - shown) >> 1, plane = side * side;
    const image = new ImageData(shown, shown);
    for (let row = 0, i = 0; row < shown; row++) {
      for (let column = 0; column < shown; column++, i += 4) {
        const from = (row + cut) * side + column + cut;
        for (let channel = 0; channel < 3; channel++) {
          image.data[i + channel] = 255 * pixels[from + plane * (channels === 3 ? channel : 0)];
        }
        image.data[i + 3] = 255;
      }
    }
    if (spot) {
      const small = element("canvas"), [x, y, width] = spot;
      paint(small, image);
      canvas.getContext("2d").drawImage(small, x, y, width, width);
    } else paint(canvas, image);
    const root = document.documentElement;
    if (!root.dataset.first) root.dataset.first = performance.now().toFixed(1);
  }

  canvas(key, values = {}, side = 1) {
    const made = element("canvas", { width: side, height: side, role: "img" });
    return this.words.show(made, key, "aria-label", values);
  }

  /** Canvases in rows that are one image to a reader of screens; `fit` changes their number. */
  sheet(key, values = {}) {
    const node = this.words.show(element("div", { class: "sheet", role: "img" }), key, "aria-label", values);
    const fit = (count) => {
      while (node.children.length > count) node.lastChild.remove();
      while (node.children.length < count) node.append(element("canvas", { width: 1, height: 1 }));
      return [...node.children];
    };
    return { node, fit };
  }

  /** A control with its name in front. */
  labelled(key, control) {
    return element("label", {}, this.words.show(element("span"), key), control);
  }

  button(key, onclick) {
    return this.words.show(element("button", { type: "button", onclick }), key);
  }

  /** A seed: its value, and the controls that change it. */
  seed(draw) {
    const input = element("input", { type: "number", min: 0, max: MAX_SEED, value: 0, oninput: draw });
    const value = () => Math.min(MAX_SEED, Math.max(0, Math.floor(Number(input.value)) || 0));
    const next = this.button("next", () => {
      input.value = (value() + 1) % (MAX_SEED + 1);
      draw();
    });
    return { get value() { return value(); }, nodes: [this.labelled("seed", input), next] };
  }

  /** A choice of models, of which the value is a place. */
  choice(places, onchange) {
    const options = places.map((value) => element("option", { value }, this.models[value].id));
    return element("select", { onchange }, ...options);
  }

  /** The row of controls with a choice of models, if there is one. */
  alternatives(model) {
    return model.length > 1 ? [element("div", { class: "controls" }, this.labelled("model", model))] : [];
  }

  section(id, children, texts = id) {
    const title = this.words.show(element("h2", { id: `${id}-title` }), `${texts}_title`);
    const help = this.words.show(element("p", { class: "help" }), `${texts}_help`);
    return element("section", { id, "aria-labelledby": title.id }, title, help, ...children);
  }

  /** Example images of a model that encodes, from 0 to 1. */
  examples(place) {
    const numbers = (text) => Float32Array.from(atob(text), (letter) => letter.charCodeAt(0) / 255);
    return this.sets[this.models[place].examples].map(numbers);
  }

  /** An image as a model reads it, padded with black. */
  padded(place, image) {
    const { side, shown, channels } = this.models[place], cut = (side - shown) >> 1;
    const pixels = new Float32Array(channels * side * side);
    for (let i = 0; i < image.length; i++) {
      const column = i % shown, row = Math.floor(i / shown) % shown, channel = Math.floor(i / shown / shown);
      pixels[(channel * side + row + cut) * side + column + cut] = image[i];
    }
    return pixels;
  }

  /** Buttons with the examples; a chosen one is pressed. */
  thumbnails(key, choose) {
    const node = this.words.show(element("div", { class: "thumbnails", role: "group" }), key, "aria-label");
    const press = (chosen) => [...node.children].forEach((button, k) => button.setAttribute("aria-pressed", k === chosen));
    const fill = (place) => node.replaceChildren(...this.examples(place).map((image, number) => {
      const canvas = this.canvas("example", { number: number + 1 });
      this.draw(canvas, place, image);
      const onclick = () => {
        press(number);
        choose(image);
      };
      return element("button", { type: "button", class: "thumbnail", "aria-pressed": false, onclick }, canvas);
    }));
    return { node, fill, press };
  }
}

/** Make a canvas an image, of whose size it becomes. */
function paint(canvas, image) {
  if (canvas.width !== image.width) canvas.width = canvas.height = image.width;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Where a pointer is on a canvas, from 0 to 1. */
function spot(event, canvas) {
  const box = canvas.getBoundingClientRect();
  const share = (value, length) => Math.min(1, Math.max(0, value / length));
  return [share(event.clientX - box.left, box.width), share(event.clientY - box.top, box.height)];
}

/** Call with the place of a pointer that is down, and at the end. */
function dragged(canvas, move, end = () => {}) {
  let down = false;
  canvas.addEventListener("pointerdown", (event) => {
    down = true;
    canvas.setPointerCapture(event.pointerId);
    move(...spot(event, canvas), true);
  });
  canvas.addEventListener("pointermove", (event) => down && move(...spot(event, canvas), false));
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => {
      if (down) end();
      down = false;
    });
  }
}

/** Arrow keys as steps of [right, up], and whether Shift is down. */
function arrows(canvas, step) {
  const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  canvas.tabIndex = 0;
  canvas.addEventListener("keydown", (event) => {
    if (!steps[event.key]) return;
    event.preventDefault();
    step(...steps[event.key], event.shiftKey);
  });
}

/** A place some steps to the right and up, inside. */
function moved([x, y], right, up) {
  return [x + right, y - up].map((value) => Math.min(1, Math.max(0, value)));
}

/** Start the page: its sections in order, those that its models can fill; returns the gallery. */
function start() {
  const data = JSON.parse(document.getElementById("models").textContent);
  const sources = data.models.map((model, place) => () => ({
    networks: model.networks,
    weights: document.getElementById(`weights-${place}`).textContent,
  }));
  const gallery = new Gallery(data, new Runner(document.currentScript.textContent, sources));
  const { words } = gallery;
  const main = document.querySelector("main");
  const other = { en: "中文", zh: "English" };
  const language = element("button", {
    type: "button", id: "language",
    onclick: () => {
      words.change(LANGUAGES[1 - LANGUAGES.indexOf(words.language)]);
      language.textContent = other[words.language];
    },
  });
  language.textContent = other[words.language];
  const lead = words.show(element("p", { class: "lead" }), "lead");
  const made = SECTIONS.map((make) => make(gallery)).filter(Boolean);
  const links = made.map((section) =>
    words.show(element("a", { href: `#${section.id}` }), section.firstChild.dataset.text));
  main.append(element("div", { class: "head" }, lead, language), element("nav", {}, ...links), ...made);
  words.change(words.language);
  return gallery;
}
