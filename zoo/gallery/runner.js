/* Networks in a worker, so that the page stays quick; in the page itself where there are none. */

/** The worker's end: networks are sent once, then inputs, each answered by its output. */
function serve(answer) {
  const ready = new Map();
  return ({ number, model, part, input, networks, weights }) => {
    if (networks) {
      const buffer = Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0)).buffer;
      for (const [name, network] of Object.entries(networks)) {
        ready.set(`${model}/${name}`, engine.load(network, buffer));
      }
      return;
    }
    const output = ready.get(`${model}/${part}`)(input);
    answer({ number, output });
  };
}

/**
 * The page's end.
 *
 * One input is in the worker at a time. A job with a key replaces the one of that key that still
 * waits, so that a pointer which moves faster than images are made leaves nothing behind.
 *
 * @param {string} source of the worker: this very script
 * @param models {networks, weights} of each
 */
class Runner {
  constructor(source, models) {
    this.models = models;
    this.sent = new Set();
    this.waiting = [];
    this.working = null;
    try {
      const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      const worker = new Worker(address);
      worker.onmessage = ({ data }) => this.done(data);
      worker.onerror = (event) => {
        event.preventDefault();
        this.here();
      };
      this.post = (message) => worker.postMessage(message);
    } catch {
      this.here();
    }
  }

  /** Compute in the page. */
  here() {
    const run = serve((answer) => setTimeout(() => this.done(answer)));
    this.post = run;
    this.sent.clear();
    if (this.working) this.start(this.working);
  }

  /**
   * @param {number} model its place
   * @param {string} part a network of it
   * @param {Float32Array} input
   * @param {string} key see above
   * @returns a promise of the output, null of a job that was replaced
   */
  run(model, part, input, key = "") {
    return new Promise((resolve) => {
      const old = key ? this.waiting.findIndex((job) => job.key === key) : -1;
      const job = { model, part, input, key, resolve };
      if (old >= 0) this.waiting.splice(old, 1, job)[0].resolve(null);
      else this.waiting.push(job);
      this.next();
    });
  }

  /** Whether all jobs are done. */
  get idle() {
    return !this.working && !this.waiting.length;
  }

  next() {
    if (this.working || !this.waiting.length) return;
    this.working = this.waiting.shift();
    this.start(this.working);
  }

  start({ model, part, input }) {
    if (!this.sent.has(model)) {
      this.sent.add(model);
      this.post({ model, ...this.models[model]() });
    }
    this.post({ number: model, model, part, input });
  }

  done({ output }) {
    const { resolve } = this.working;
    this.working = null;
    resolve(output);
    this.next();
  }
}
if (typeof document === "undefined" && typeof self !== "undefined" && self.postMessage) {
  self.onmessage = ((answer) => ({ data }) => answer(data))(serve((made) => self.postMessage(made)));
}
