/* The page: what can be done with the models, section by section. */

const LANGUAGES = ["en", "zh"];
const COLUMNS = 12, ROWS = 4, COMPARED = 10, SHOWN_SLIDERS = 32, REACH = 3, MAP = 13;

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

/** Texts in the language that is chosen; elements that show one are told when it changes. */
class Words {
  constructor(table) {
    this.table = table;
    this.language = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
    this.told = [];
  }

  get(key, values = {}) {
    const text = this.table[this.language][key] ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  }

  /** Show a text in an element, or as an attribute of it, in whatever language. */
  show(node, key, attribute = null, values = {}) {
    const tell = () => {
      if (attribute) node.setAttribute(attribute, this.get(key, values));
      else node.textContent = this.get(key, values);
    };
    this.told.push(tell);
    tell();
    return node;
  }

  change(language) {
    this.language = language;
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    for (const tell of this.told) tell();
  }
}

/** What all sections use. */
class Gallery {
  constructor(data, runner) {
    this.models = data.models;
    this.examples = data.examples;
    this.words = new Words(data.words);
    this.runner = runner;
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  /** Places of the models with all of these parts. */
  having(...parts) {
    return this.models.map((_, place) => place).filter((place) =>
      parts.every((part) => this.models[place].parts.includes(part)));
  }

  /** Decode a code and draw the image. */
  async decode(canvas, place, code, key, spot = null) {
    const pixels = await this.runner.run(place, "decode", code, key);
    if (pixels) this.draw(canvas, place, pixels, spot);
    return pixels;
  }

  /** Draw the output of a decoder, all over a canvas or in a spot [x, y, side] of it. */
  draw(canvas, place, pixels, spot = null) {
    const { side, shown, channels } = this.models[place];
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
    const [x, y, width] = spot ?? [0, 0, canvas.width];
    const small = element("canvas", { width: shown, height: shown });
    small.getContext("2d").putImageData(image, 0, 0);
    canvas.getContext("2d").drawImage(small, x, y, width, width);
    const root = document.documentElement;
    if (!root.dataset.first) root.dataset.first = performance.now().toFixed(1);
  }

  canvas(width, height, key, values = {}) {
    return this.words.show(element("canvas", { width, height, role: "img" }), key, "aria-label", values);
  }

  /** A control with its name in front; `unit` is shown behind it. */
  labelled(key, control, unit = "") {
    return element("label", {}, this.words.show(element("span"), key), control, unit);
  }

  button(key, onclick) {
    return this.words.show(element("button", { type: "button", onclick }), key);
  }

  /** A choice of models, of which the value is a place. */
  choice(places, onchange) {
    const options = places.map((place) => {
      const option = element("option", { value: place });
      option.textContent = this.models[place].id;
      return option;
    });
    return element("select", { onchange }, ...options);
  }

  section(name, ...children) {
    const title = this.words.show(element("h2", { id: `${name}-title` }), `${name}_title`);
    const help = this.words.show(element("p", { class: "help" }), `${name}_help`);
    return element("section", { id: name, "aria-labelledby": title.id }, title, help, ...children);
  }

  /** An example image as a model reads it, padded with black. */
  example(number, place) {
    const { side, shown, channels } = this.models[place], pixels = new Float32Array(channels * side * side);
    const bytes = this.bytes ??= this.examples.images.map((text) => atob(text));
    const cut = (side - shown) >> 1, own = this.examples.channels;
    for (let channel = 0; channel < channels; channel++) {
      for (let i = 0; i < shown * shown; i++) {
        const at = channel * side * side + (cut + Math.floor(i / shown)) * side + cut + (i % shown);
        pixels[at] = bytes[number].charCodeAt((own === channels ? channel : 0) * shown * shown + i) / 255;
      }
    }
    return pixels;
  }

  /** Buttons with the examples; a chosen one is pressed. */
  thumbnails(place, key, choose) {
    const buttons = this.examples.images.map((_, number) => {
      const canvas = this.canvas(28, 28, "example", { number: number + 1 });
      this.draw(canvas, place, this.example(number, place));
      return element("button", {
        type: "button", class: "thumbnail", "aria-pressed": false,
        onclick: () => {
          buttons.forEach((button, k) => button.setAttribute("aria-pressed", k === number));
          choose(number);
        },
      }, canvas);
    });
    const group = element("div", { class: "thumbnails", role: "group" }, ...buttons);
    return { group: this.words.show(group, key, "aria-label"), buttons };
  }
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

/** Arrow keys as steps of [right, up]. */
function arrows(canvas, step) {
  const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  canvas.tabIndex = 0;
  canvas.addEventListener("keydown", (event) => {
    if (!steps[event.key]) return;
    event.preventDefault();
    step(...steps[event.key]);
  });
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
    words.show(element("a", { href: `#${section.id}` }), `${section.id}_title`));
  main.append(element("div", { class: "head" }, lead, language), element("nav", {}, ...links), ...made);
  words.change(words.language);
  return gallery;
}
