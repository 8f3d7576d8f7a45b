/* The sections of the page. Each is a function of the gallery, null where no model is fit for it. */

/** Images from noise that a seed names. */
function samples(gallery) {
  const { words, models } = gallery, places = gallery.having("decode");
  if (!places.length) return null;
  const side = 64, canvas = gallery.canvas(COLUMNS * side, ROWS * side, "samples_label");
  const model = gallery.choice(places, () => change());
  const seed = element("input", { type: "number", min: 0, max: 2 ** 32, value: 0, oninput: () => draw() });
  const spread = element("input", { type: "range", min: 0, max: 1.5, step: 0.05, value: 1, oninput: () => draw() });
  const fitted = element("input", { type: "checkbox", onchange: () => draw() });
  const label = element("select", { onchange: () => draw() });
  const next = gallery.button("next", () => {
    seed.value = Number(seed.value) + 1;
    draw();
  });
  const ofLabels = gallery.labelled("label", label), ofFitted = gallery.labelled("fitted", fitted);

  function change() {
    const facts = models[model.value], any = words.show(element("option", { value: "" }), "any");
    const options = facts.labels.map((name, number) => {
      const option = element("option", { value: number });
      option.textContent = name;
      return option;
    });
    label.replaceChildren(any, ...options);
    ofLabels.hidden = !facts.centers.length;
    ofFitted.hidden = !facts.gaussian;
    draw();
  }

  function draw() {
    const place = Number(model.value), facts = models[place], noise = new Noise(Number(seed.value) || 0);
    const how = {
      spread: Number(spread.value),
      fitted: fitted.checked && !ofFitted.hidden,
      label: label.value === "" || ofLabels.hidden ? null : Number(label.value),
    };
    for (let number = 0; number < COLUMNS * ROWS; number++) {
      const at = [(number % COLUMNS) * side, Math.floor(number / COLUMNS) * side, side - 2];
      gallery.decode(canvas, place, codeOf(facts, noise, how), `samples ${number}`, at);
    }
  }

  change();
  return gallery.section("samples",
    element("div", { class: "controls" }, gallery.labelled("model", model), gallery.labelled("seed", seed),
      next, gallery.labelled("spread", spread), ofLabels, ofFitted), canvas);
}

/** A code by its numbers, and along a path that is drawn. */
function walk(gallery) {
  const { words, models } = gallery, places = gallery.having("decode");
  if (!places.length) return null;
  const canvas = gallery.canvas(224, 224, "walk_label"), pad = gallery.canvas(224, 224, "pad_label");
  const model = gallery.choice(places, () => change(1));
  const sliders = element("div", { class: "sliders" });
  let code, base, directions, seed = 1, path = [[0.5, 0.5]], timer = null;

  function change(by) {
    stop();
    const facts = models[model.value], noise = new Noise((seed += by), 1);
    base = code = codeOf(facts, noise);
    directions = plane(noise, facts.latents);
    path = [[0.5, 0.5]];
    const inputs = Array.from({ length: Math.min(facts.latents, SHOWN_SLIDERS) }, (_, i) =>
      words.show(element("input", {
        type: "range", min: -4, max: 4, step: 0.05, value: code[i],
        oninput: (event) => {
          stop();
          code = code.slice();
          code[i] = Number(event.target.value);
          base = code;
          path = [[0.5, 0.5]];
          show(false);
        },
      }), "number_of_code", "aria-label", { number: i + 1 }));
    sliders.replaceChildren(...inputs);
    show(false);
  }

  function show(moved = true) {
    gallery.decode(canvas, Number(model.value), code, "walk");
    if (moved) [...sliders.children].forEach((slider, i) => (slider.value = code[i]));
    const context = pad.getContext("2d"), wide = pad.width;
    context.clearRect(0, 0, wide, wide);
    context.lineWidth = 3;
    const style = getComputedStyle(document.documentElement);
    context.strokeStyle = context.fillStyle = style.getPropertyValue("--accent");
    context.beginPath();
    path.forEach(([x, y], k) => context[k ? "lineTo" : "moveTo"](x * wide, y * wide));
    context.stroke();
    const [x, y] = here;
    context.beginPath();
    context.arc(x * wide, y * wide, 6, 0, 7);
    context.fill();
  }

  let here = [0.5, 0.5];
  function go(x, y) {
    here = [x, y];
    const [right, up] = [2 * REACH * (x - 0.5), 2 * REACH * (0.5 - y)];
    code = base.map((value, i) => value + right * directions[0][i] + up * directions[1][i]);
    show();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    here = path[0];
  }

  function play() {
    if (timer) return stop();
    let step = 0;
    const last = path.length - 1;
    timer = setInterval(() => {
      const at = last ? last - Math.abs((step++ % (2 * last)) - last) : 0;
      go(...path[at]);
    }, 1000 / 30);
  }

  dragged(pad, (x, y, first) => {
    if (first) {
      stop();
      path = [];
    }
    path.push([x, y]);
    go(x, y);
  }, () => gallery.still || path.length < 3 || play());
  arrows(pad, (right, up) => {
    stop();
    path = [[Math.min(1, Math.max(0, here[0] + right / 20)), Math.min(1, Math.max(0, here[1] - up / 20))]];
    go(...path[0]);
  });
  change(0);
  return gallery.section("walk",
    element("div", { class: "controls" }, gallery.labelled("model", model),
      gallery.button("another", () => change(1)), gallery.button("play", play)),
    element("div", { class: "side-by-side" }, canvas, pad, sliders));
}

/** From one image to another through their codes. */
function drag(gallery) {
  const [place] = gallery.having("encode", "decode");
  if (place === undefined || gallery.examples.images.length < 2) return null;
  const canvas = gallery.canvas(224, 224, "drag_label");
  const range = element("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, oninput: () => draw() });
  const ends = [null, null];

  const choose = (end) => async (number) => {
    ends[end] = await gallery.runner.run(place, "encode", gallery.example(number, place), `end ${end}`) ?? ends[end];
    draw();
  };
  function draw() {
    if (ends[0] && ends[1]) gallery.decode(canvas, place, between(...ends, Number(range.value)), "drag");
  }
  dragged(canvas, (x) => {
    range.value = x;
    draw();
  });
  const rows = ["from", "to"].map((key, end) => gallery.thumbnails(place, key, choose(end)));
  rows[0].buttons[0].click();
  rows[1].buttons[1].click();
  return gallery.section("drag",
    element("div", { class: "side-by-side" }, canvas,
      element("div", { class: "column" },
        gallery.words.show(element("span"), "from"), rows[0].group,
        gallery.words.show(element("span"), "to"), rows[1].group, gallery.labelled("share", range))));
}

/** A digit that is drawn: seen through the code, and read. */
function drawing(gallery) {
  const { words, models } = gallery, [place] = gallery.having("encode", "decode");
  if (place === undefined || models[place].channels !== 1) return null;
  const reader = gallery.having("classify").find((one) =>
    models[one].channels === 1 && models[one].shown === models[place].shown);
  const wide = 224, board = gallery.canvas(wide, wide, "board_label");
  const seen = gallery.canvas(112, 112, "seen_label"), again = gallery.canvas(112, 112, "again_label");
  const context = board.getContext("2d", { willReadFrequently: true });
  const answer = element("p", { class: "answer", "aria-live": "polite" }), bars = element("div", { class: "bars" });
  let last = null, told = 0;

  function clear() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, wide, wide);
    last = null;
  }

  function read() {
    const { side, shown } = models[place], inks = new Float32Array(wide * wide);
    const bytes = context.getImageData(0, 0, wide, wide).data;
    for (let i = 0; i < inks.length; i++) inks[i] = bytes[4 * i] / 255;
    const image = centred(inks, wide, shown);
    if (!image) return;
    const pixels = new Float32Array(side * side), cut = (side - shown) >> 1;
    image.forEach((value, i) => {
      pixels[(Math.floor(i / shown) + cut) * side + cut + (i % shown)] = value;
    });
    look(pixels);
  }

  async function look(pixels) {
    gallery.draw(seen, place, pixels);
    if (reader !== undefined) gallery.runner.run(reader, "classify", pixels, "classify").then(tell);
    const code = await gallery.runner.run(place, "encode", pixels, "encode");
    if (code) gallery.decode(again, place, code, "again");
  }

  function tell(scores) {
    if (!scores) return;
    const most = Math.max(...scores), powers = Array.from(scores, (score) => Math.exp(score - most));
    const sum = powers.reduce((a, b) => a + b, 0), best = scores.indexOf(most);
    const names = models[reader].labels;
    bars.replaceChildren(...powers.map((power, number) => {
      const bar = element("span", { class: "bar" });
      bar.style.width = `${(100 * power) / sum}%`;
      const name = element("span", { class: "name" });
      name.textContent = names[number];
      return element("div", { class: "row", "aria-hidden": true }, name, element("span", { class: "track" }, bar));
    }));
    clearTimeout(told); // so that a reader of screens is told once, not at every stroke
    told = setTimeout(() => {
      answer.textContent = words.get("answer", {
        label: names[best], percent: Math.round((100 * powers[best]) / sum),
      });
    }, 150);
  }

  dragged(board, (x, y) => {
    const point = [x * wide, y * wide];
    context.strokeStyle = "#fff";
    context.lineWidth = 18;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...(last ?? point));
    context.lineTo(...point);
    context.stroke();
    last = point;
    read();
  }, () => (last = null));
  const { group, buttons } = gallery.thumbnails(place, "or_example", (number) => {
    clear();
    const pixels = gallery.example(number, place);
    gallery.draw(board, place, pixels);
    look(pixels);
  });
  clear();
  if (buttons.length) buttons[buttons.length - 1].click();
  const figure = (canvas, key) => element("figure", {}, canvas, words.show(element("figcaption"), key));
  return gallery.section("drawing",
    element("div", { class: "controls" }, gallery.button("clear", clear), group),
    element("div", { class: "side-by-side" }, figure(board, "board"), figure(seen, "seen"), figure(again, "again"),
      ...(reader === undefined ? [] : [element("div", { class: "column" }, answer, bars)])));
}

/** All images of a model whose codes are points of a plane. */
function map(gallery) {
  const place = gallery.having("decode").find((one) => gallery.models[one].latents === 2);
  if (place === undefined) return null;
  const wide = MAP * 28, canvas = gallery.canvas(wide, wide, "map_label"), large = gallery.canvas(224, 224, "map_large");
  const sheet = element("canvas", { width: wide, height: wide });
  const code = (x, y) => Float32Array.of(2 * REACH * (x - 0.5), 2 * REACH * (0.5 - y));
  let here = [0.5, 0.5];

  async function go(x, y) {
    here = [x, y];
    const context = canvas.getContext("2d");
    context.drawImage(sheet, 0, 0);
    context.strokeStyle = "#e4572e";
    context.lineWidth = 3;
    context.beginPath();
    context.arc(x * wide, y * wide, 9, 0, 7);
    context.stroke();
    await gallery.decode(large, place, code(x, y), "map");
  }
  const cells = [];
  for (let number = 0; number < MAP * MAP; number++) {
    const column = number % MAP, row = Math.floor(number / MAP);
    cells.push(gallery.decode(sheet, place, code((column + 0.5) / MAP, (row + 0.5) / MAP), "", [column * 28, row * 28, 28]));
  }
  Promise.all(cells).then(() => go(...here));
  canvas.addEventListener("pointermove", (event) => go(...spot(event, canvas)));
  canvas.addEventListener("pointerdown", (event) => go(...spot(event, canvas)));
  arrows(canvas, (right, up) => go(
    Math.min(1, Math.max(0, here[0] + right / 50)), Math.min(1, Math.max(0, here[1] - up / 50))));
  return gallery.section("map", element("div", { class: "side-by-side" }, canvas, large));
}

/** Several models from the same noise. */
function compare(gallery) {
  const { models } = gallery, all = gallery.having("decode");
  const same = (size) => all.filter((place) => models[place].latents === size && !models[place].centers.length);
  const places = all.map((place) => same(models[place].latents)).sort((a, b) => b.length - a.length)[0] ?? [];
  if (places.length < 2) return null;
  const side = 56;
  const canvases = places.map((place) =>
    gallery.canvas(COMPARED * side, side, "compare_label", { model: models[place].id }));
  const seed = element("input", { type: "number", min: 0, max: 2 ** 32, value: 0, oninput: () => draw() });
  const fitted = element("input", { type: "checkbox", onchange: () => draw() });

  function draw() {
    places.forEach((place, row) => {
      const noise = new Noise(Number(seed.value) || 0, 2);
      for (let number = 0; number < COMPARED; number++) {
        const code = codeOf(models[place], noise, { fitted: fitted.checked });
        gallery.decode(canvases[row], place, code, `compare ${row} ${number}`, [number * side, 0, side - 2]);
      }
    });
  }
  draw();
  const next = gallery.button("next", () => {
    seed.value = Number(seed.value) + 1;
    draw();
  });
  const controls = [gallery.labelled("seed", seed), next];
  if (places.some((place) => models[place].gaussian)) controls.push(gallery.labelled("fitted", fitted));
  const rows = places.map((place, row) => {
    const name = element("figcaption");
    name.textContent = models[place].id;
    return element("figure", {}, canvases[row], name);
  });
  return gallery.section("compare", element("div", { class: "controls" }, ...controls), ...rows);
}

const SECTIONS = [samples, walk, drag, drawing, map, compare];
const shown = typeof document === "undefined" ? null : start();
