/* The sections of the page. Each is a function of the gallery, null where no model is fit for it. */

/** Images from noise that a seed names, those of `genae sample`. */
function samples(gallery) {
  const places = gallery.having("decode");
  if (!places.length) return null;
  const { words, models } = gallery, sheet = gallery.sheet("samples_label");
  const model = gallery.choice(places, () => change()), seed = gallery.seed(() => draw());
  const spread = element("input", { type: "range", min: 0, max: 1.5, step: 0.05, value: 1, oninput: () => draw() });
  const fitted = element("input", { type: "checkbox", onchange: () => draw() });
  const label = element("select", { onchange: () => draw() });
  const ofSpread = gallery.labelled("spread", spread), ofLabel = gallery.labelled("label", label);
  const ofFitted = gallery.labelled("fitted", fitted), line = element("code");

  function change() {
    const { labels, prior, gaussian, spreads } = models[model.value];
    const every = words.show(element("option", { value: "" }), "every");
    label.replaceChildren(every, ...labels.map((name, value) => element("option", { value }, name)));
    ofLabel.hidden = !prior.centers;
    ofFitted.hidden = !gaussian;
    ofSpread.hidden = !spreads;
    draw();
  }

  function draw() {
    const place = Number(model.value), { prior, command } = models[place];
    const options = {
      spread: ofSpread.hidden ? 1 : Number(spread.value),
      fitted: fitted.checked && !ofFitted.hidden,
      label: label.value === "" || !prior.centers ? null : Number(label.value),
    };
    const mixed = prior.centers && !options.fitted && options.label === null;
    const count = mixed ? OF_LABEL * prior.centers.length : SAMPLES;
    const codes = codesOf(models[place], seed.value, count, options).slice(0, MAX_SAMPLES);
    const canvases = sheet.fit(codes.length);
    codes.forEach((code, number) => gallery.decode(canvases[number], place, code, `samples ${number}`));
    line.textContent = command + ` --seed ${seed.value}`
      + (options.spread === 1 ? "" : ` --temperature ${options.spread}`)
      + (options.fitted ? " --sampler gaussian" : options.label === null ? "" : ` -n ${SAMPLES} --labels ${options.label}`)
      + " -o samples.png";
  }

  change();
  const same = element("p", { class: "help" }, words.show(element("span"), "same"), " ", line);
  return gallery.section("samples", [
    element("div", { class: "controls" }, gallery.labelled("model", model), ...seed.nodes, ofSpread, ofLabel, ofFitted),
    sheet.node, same]);
}

/** A code by its numbers, and along a path: a ring at first, then what is drawn. */
function walk(gallery) {
  const places = gallery.having("decode");
  if (!places.length) return null;
  const { words, models } = gallery, canvas = gallery.canvas("walk_label"), pad = gallery.canvas("pad_label", {}, 448);
  const model = gallery.choice(places, () => change()), sliders = element("div", { class: "sliders" });
  const playing = element("button", { type: "button", onclick: () => (timer ? stop() : play()) });
  const ring = Array.from({ length: RING }, (_, k) =>
    [0, Math.PI / 2].map((quarter) => 0.5 + 0.36 * Math.cos((2 * Math.PI * k) / RING - quarter)));
  let code, base, directions, seed = 2, path = ring, here = [0.5, 0.5], timer = null, seen = false;

  function change() {
    const facts = models[model.value], each = facts.prior.centers?.length;
    base = code = codesOf(facts, seed, SAMPLES, { label: each ? seed % each : null })[0];
    directions = plane(new Noise(~seed), facts.latents);
    rest();
    const range = facts.prior.choices || facts.prior.sphere ? 1 : 4;
    const inputs = Array.from({ length: Math.min(facts.latents, SHOWN_SLIDERS) }, (_, i) =>
      words.show(element("input", {
        type: "range", min: facts.prior.choices ? 0 : -range, max: range, step: 0.01, value: code[i],
        oninput: ({ target }) => {
          stop();
          code[i] = Number(target.value);
          base = code = valid(facts, code);
          rest();
          show(i);
        },
      }), "number_of_code", "aria-label", { number: i + 1 }));
    sliders.replaceChildren(...inputs);
    show();
  }

  /** Back to the middle of the plane, with nothing drawn on it. */
  function rest() {
    [path, here] = [ring, [0.5, 0.5]];
  }

  /** Show the code; the slider that is being moved stays where it is. */
  function show(moved = null) {
    gallery.decode(canvas, Number(model.value), code, "walk");
    [...sliders.children].forEach((slider, i) => i === moved || (slider.value = code[i]));
    const context = pad.getContext("2d"), wide = pad.width;
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
    const line = (points) => {
      context.beginPath();
      points.forEach(([x, y], k) => context[k ? "lineTo" : "moveTo"](x * wide, y * wide));
      if (points === ring) context.closePath();
      context.stroke();
    };
    context.clearRect(0, 0, wide, wide);
    context.lineWidth = 2;
    context.strokeStyle = colour("--line");
    [[[0.5, 0], [0.5, 1]], [[0, 0.5], [1, 0.5]]].forEach(line);
    context.lineWidth = 5;
    context.strokeStyle = context.fillStyle = colour("--accent");
    line(path);
    context.beginPath();
    context.arc(here[0] * wide, here[1] * wide, 14, 0, 7);
    context.fill();
  }

  function go(x, y) {
    here = [x, y];
    const [right, up] = [2 * REACH * (x - 0.5), 2 * REACH * (0.5 - y)];
    const numbers = base.map((value, i) => value + right * directions[0][i] + up * directions[1][i]);
    code = valid(models[model.value], numbers);
    show();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    words.show(playing, "play");
  }

  /** Along the path, to and fro where it has ends; only while it is seen. */
  function play() {
    let step = 0;
    timer = setInterval(() => {
      const last = path.length - 1;
      if (!seen || document.hidden) return;
      step++;
      go(...path[path === ring ? step % RING : last - Math.abs((step % (2 * last || 1)) - last)]);
    }, 1000 / 30);
    words.show(playing, "stop");
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
    path = [moved(here, right / 20, up / 20)];
    go(...path[0]);
  });
  stop();
  change();
  new IntersectionObserver(([{ isIntersecting }]) => (seen = isIntersecting)).observe(canvas);
  if (!gallery.still) play();
  const another = gallery.button("another", () => {
    seed++;
    change();
  });
  return gallery.section("walk", [
    element("div", { class: "controls" }, gallery.labelled("model", model), another, playing),
    element("div", { class: "side-by-side" }, canvas, pad, sliders)]);
}

/** From one image to another through their codes. */
function drag(gallery) {
  const places = gallery.having("encode", "decode");
  if (!places.length) return null;
  const { words, runner } = gallery, canvas = gallery.canvas("drag_label"), way = gallery.sheet("way_label");
  const model = gallery.choice(places, () => change()), ends = [null, null];
  const range = element("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0.5, oninput: () => show() });
  const rows = ["from", "to"].map((key, end) => gallery.thumbnails(key, (image) => choose(end, image)));

  function change() {
    const examples = gallery.examples(Number(model.value));
    rows.forEach((row, end) => {
      const first = Math.min(end, examples.length - 1);
      row.fill(Number(model.value));
      row.press(first);
      ends[end] = null;
      choose(end, examples[first]);
    });
  }

  async function choose(end, image) {
    const place = Number(model.value);
    const code = await runner.run(place, "encode", gallery.padded(place, image), `end ${end}`);
    if (!code) return;
    ends[end] = code;
    if (!ends[0] || !ends[1]) return;
    show();
    way.fit(STEPS).forEach((image, step) =>
      gallery.decode(image, Number(model.value), between(...ends, step / (STEPS - 1)), `way ${step}`));
  }

  function show() {
    if (ends[0] && ends[1]) gallery.decode(canvas, Number(model.value), between(...ends, Number(range.value)), "drag");
  }

  dragged(canvas, (x) => {
    range.value = x;
    show();
  });
  way.node.addEventListener("click", ({ target }) => {
    const step = [...way.node.children].indexOf(target);
    if (step < 0) return;
    range.value = step / (STEPS - 1);
    show();
  });
  change();
  const caption = (key) => words.show(element("span", { class: "caption" }), key);
  return gallery.section("drag", [
    ...gallery.alternatives(model),
    element("div", { class: "side-by-side" }, canvas,
      element("div", { class: "column" }, caption("from"), rows[0].node, caption("to"), rows[1].node,
        gallery.labelled("share", range))),
    way.node]);
}

/** A digit, or whatever the encoder knows, that is drawn: seen through the code, and read. */
function drawing(gallery) {
  const { words, models, runner } = gallery;
  const all = gallery.having("encode", "decode").filter((place) => models[place].channels === 1);
  const ofDigits = all.filter((place) => models[place].data === DIGITS), digits = ofDigits.length > 0;
  const places = digits ? ofDigits : all;
  if (!places.length) return null;
  const wide = 224, board = gallery.canvas("board_label", {}, wide);
  const seen = gallery.canvas("seen_label"), again = gallery.canvas("again_label");
  const context = board.getContext("2d", { willReadFrequently: true });
  const caption = (key) => words.show(element("span", { class: "caption" }), key);
  const answer = element("span", { class: "answer", "aria-live": "polite" }), bars = element("div", { class: "bars" });
  const reading = element("div", { class: "column" }, element("p", {}, caption("reader"), " ", answer), bars);
  const model = gallery.choice(places, () => change());
  const examples = gallery.thumbnails("or_example", (image) => {
    gallery.draw(board, Number(model.value), image, [0, 0, wide]);
    look(image);
  });
  let last = null, pen = [0.5, 0.25], telling = 0, tracks = [], reader;

  function change() {
    const place = Number(model.value), first = gallery.examples(place).length - 1;
    reader = gallery.having("classify").find((one) =>
      ["channels", "shown", "data"].every((fact) => models[one][fact] === models[place][fact]));
    reading.hidden = reader === undefined;
    examples.fill(place);
    examples.node.children[first].click();
  }

  function clear() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, wide, wide);
    [last, pen] = [null, [0.5, 0.25]];
    examples.press(null);
  }

  function read() {
    const { shown } = models[model.value], inks = new Float32Array(wide * wide);
    const bytes = context.getImageData(0, 0, wide, wide).data;
    for (let i = 0; i < inks.length; i++) inks[i] = bytes[4 * i] / 255;
    const image = digits ? centred(inks, wide, shown) : shrunk(inks, wide, shown);
    if (image) look(image);
  }

  async function look(image) {
    const place = Number(model.value);
    gallery.draw(seen, place, image);
    if (reader !== undefined) runner.run(reader, "classify", gallery.padded(reader, image), "classify").then(tell);
    const code = await runner.run(place, "encode", gallery.padded(place, image), "encode");
    if (code) gallery.decode(again, place, code, "again");
  }

  function tell(scores) {
    if (!scores) return;
    const max = Math.max(...scores), powers = Array.from(scores, (score) => Math.exp(score - max));
    const sum = powers.reduce((a, b) => a + b, 0), best = scores.indexOf(max), { labels } = models[reader];
    if (tracks.length !== labels.length) {
      tracks = labels.map(() => element("span", { class: "bar" }));
      bars.replaceChildren(...tracks.map((bar, number) =>
        element("div", { class: "row", "aria-hidden": true },
          element("span", { class: "name" }, labels[number]), element("span", { class: "track" }, bar))));
    }
    tracks.forEach((bar, number) => (bar.style.width = `${(100 * powers[number]) / sum}%`));
    const said = { label: labels[best], percent: Math.round((100 * powers[best]) / sum) };
    clearTimeout(telling); // so that a reader of screens is told once, not at every stroke
    telling = setTimeout(() => words.show(answer, "answer", null, said), 150);
  }

  function stroke(x, y) {
    const point = [x * wide, y * wide];
    pen = [x, y];
    examples.press(null);
    context.strokeStyle = "#fff";
    context.lineWidth = 18;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...(last ?? point));
    context.lineTo(...point);
    context.stroke();
    last = point;
    read();
  }

  dragged(board, stroke, () => (last = null));
  arrows(board, (right, up, lifted) => {
    last = lifted ? null : pen.map((share) => share * wide);
    pen = moved(pen, right / 25, up / 25);
    if (!lifted) stroke(...pen);
  });
  change();
  const figure = (canvas, key) => element("figure", {}, canvas, words.show(element("figcaption"), key));
  return gallery.section("drawing", [
    ...gallery.alternatives(model),
    element("div", { class: "controls" }, gallery.button("clear", clear),
      caption("or_example"), examples.node),
    element("div", { class: "side-by-side" },
      figure(board, "board"), figure(seen, "seen"), figure(again, "again"), reading),
  ], digits ? "drawing" : "sketch");
}

/** All images of a model whose codes are points of a plane. */
function map(gallery) {
  const place = gallery.plain().find((one) => gallery.models[one].latents === 2);
  if (place === undefined) return null;
  const { shown } = gallery.models[place], wide = MAP * shown, unit = wide / 420;
  const canvas = gallery.canvas("map_label", {}, wide), large = gallery.canvas("map_large");
  const sheet = element("canvas", { width: wide, height: wide });
  const code = (x, y) => Float32Array.of(2 * REACH * (x - 0.5), 2 * REACH * (0.5 - y));
  let here = [0.5, 0.5];

  function go(x, y) {
    here = [x, y];
    mark();
    gallery.decode(large, place, code(x, y), "map");
  }
  function mark() {
    const context = canvas.getContext("2d");
    context.drawImage(sheet, 0, 0);
    context.strokeStyle = "#ff7043";
    context.lineWidth = 4 * unit;
    context.beginPath();
    context.arc(here[0] * wide, here[1] * wide, 10 * unit, 0, 7);
    context.stroke();
  }
  const cells = Array.from({ length: MAP * MAP }, (_, number) => {
    const column = number % MAP, row = Math.floor(number / MAP);
    const spot = [column * shown, row * shown, shown];
    return gallery.decode(sheet, place, code((column + 0.5) / MAP, (row + 0.5) / MAP), "", spot);
  });
  Promise.all(cells).then(mark);
  go(...here);
  canvas.addEventListener("pointermove", (event) => go(...spot(event, canvas)));
  canvas.addEventListener("pointerdown", (event) => go(...spot(event, canvas)));
  arrows(canvas, (right, up) => go(...moved(here, right / 50, up / 50)));
  const name = element("figcaption", {}, gallery.models[place].id);
  return gallery.section("map",
    [element("div", { class: "side-by-side" }, canvas, element("figure", {}, large, name))]);
}

/** Several models from the same noise. */
function compare(gallery) {
  const { models } = gallery, all = gallery.plain();
  const same = (size) => all.filter((place) => models[place].latents === size);
  const places = all.map((place) => same(models[place].latents)).sort((a, b) => b.length - a.length)[0] ?? [];
  if (places.length < 2) return null;
  const sheets = places.map((place) => gallery.sheet("compare_label", { model: models[place].id }));
  const seed = gallery.seed(() => draw()), fitted = element("input", { type: "checkbox", onchange: () => draw() });

  function draw() {
    places.forEach((place, row) => {
      const options = { fitted: fitted.checked && models[place].gaussian !== null };
      const canvases = sheets[row].fit(COMPARED);
      codesOf(models[place], seed.value, COMPARED, options).forEach((code, number) =>
        gallery.decode(canvases[number], place, code, `compare ${row} ${number}`));
    });
  }
  draw();
  const controls = element("div", { class: "controls" }, ...seed.nodes);
  if (places.some((place) => models[place].gaussian)) controls.append(gallery.labelled("fitted", fitted));
  const rows = places.map((place, row) =>
    element("figure", {}, element("figcaption", {}, models[place].id), sheets[row].node));
  return gallery.section("compare", [controls, ...rows]);
}

const SECTIONS = [samples, walk, drag, drawing, map, compare];
const shown = typeof document === "undefined" ? null : start();
