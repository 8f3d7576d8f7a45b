/* Codes of images: drawn from a seed, mixed, and the drawing that an encoder can read. */

/**
 * PyTorch's random numbers on a CPU, so that a seed names the images that it names for `genae
 * sample`: the Mersenne Twister (Matsumoto and Nishimura, 1998), and what torch makes of it.
 */
class Noise {
  /** @param {number} seed a whole number, of which the lowest 32 bits count */
  constructor(seed) {
    const state = (this.state = new Uint32Array(624));
    state[0] = seed;
    for (let k = 1; k < 624; k++) {
      state[k] = Math.imul(1812433253, state[k - 1] ^ (state[k - 1] >>> 30)) + k;
    }
    this.at = 624;
  }

  /** The next 32 bits. */
  bits() {
    const state = this.state;
    if (this.at === 624) {
      for (let k = 0; k < 624; k++) {
        const y = (state[k] & 0x80000000) | (state[(k + 1) % 624] & 0x7fffffff);
        state[k] = state[(k + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.at = 0;
    }
    let y = state[this.at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** A whole number from 0 below a count, as of `torch.randint`. */
  below(count) {
    return this.bits() % count;
  }

  /**
   * Normal numbers, as of `torch.randn`, which makes sixteen at a time of eight radii and eight
   * angles; fewer are the first ones of sixteen.
   */
  normals(count) {
    const made = new Float32Array(Math.max(16, count));
    for (let start = 0; start + 16 <= made.length; start += 16) this.fill(made, start);
    const rest = made.length % 16;
    if (rest) {
      for (let k = 0; k < rest; k++) this.bits(); // torch draws for all, then the last sixteen anew
      this.fill(made, made.length - 16);
    }
    return made.subarray(0, count);
  }

  fill(made, start) {
    const uniform = Array.from({ length: 16 }, () => (this.bits() & 0xffffff) / 0x1000000);
    for (let i = start; i < start + 8; i++) {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform[i - start]));
      const angle = Math.fround(Math.fround(2 * Math.PI) * uniform[i - start + 8]);
      made[i] = radius * Math.cos(angle);
      made[i + 8] = radius * Math.sin(angle);
    }
  }
}

/**
 * Codes of a model, those that its `sample_latents` draws.
 *
 * @param facts of the model
 * @param {number} seed
 * @param {number} count of codes, which have 16 numbers or more in all
 * @param how {spread, fitted, label}: factor on deviations, whether to draw from the Gaussian that
 *   was fitted to codes of the training images, and a label, where codes have some; without one,
 *   equally many of each, in order
 * @returns {Float32Array[]}
 */
function codesOf(facts, seed, count, { spread = 1, fitted = false, label = null } = {}) {
  const noise = new Noise(seed), { latents, gaussian, prior } = facts;
  const rows = (make) => Array.from({ length: count }, (_, row) => make(row));
  if (prior.choices && !fitted) {
    return rows(() => {
      const code = new Float32Array(latents);
      for (let i = 0; i < latents; i += prior.choices) code[i + noise.below(prior.choices)] = 1;
      return code;
    });
  }
  const numbers = noise.normals(count * latents).map((value) => value * spread);
  const codes = rows((row) => numbers.slice(row * latents, (row + 1) * latents));
  if (fitted) {
    const { mean, scale } = gaussian; // a triangle of factors
    return codes.map((code) =>
      code.map((_, i) => scale[i].reduce((sum, factor, k) => sum + factor * code[k], mean[i])));
  }
  if (!prior.centers) return codes.map((code) => valid(facts, code));
  const each = Math.ceil(count / prior.centers.length);
  return codes.map((code, row) => {
    const centre = prior.centers[label ?? Math.floor(row / each)];
    return code.map((value, i) => value + centre[i]);
  });
}

/** The code of a model that is nearest to some numbers: of length 1, or of shares, where its are. */
function valid({ prior }, numbers) {
  if (prior.sphere) {
    const norm = Math.hypot(...numbers) || 1;
    return numbers.map((value) => value / norm);
  }
  if (!prior.choices) return numbers;
  const shares = numbers.map((value) => Math.max(1e-6, value));
  for (let i = 0; i < shares.length; i += prior.choices) {
    const group = shares.subarray(i, i + prior.choices), sum = group.reduce((a, b) => a + b, 0);
    group.forEach((value, k) => (group[k] = value / sum));
  }
  return shares;
}

/**
 * The code a share t of the way from a to b: direction and norm turn evenly, as of
 * `zoo.interpolate`; a straight line where the directions are parallel.
 */
function between(a, b, t) {
  const norms = [Math.hypot(...a), Math.hypot(...b)];
  const dot = a.reduce((sum, value, i) => sum + value * b[i], 0) / (norms[0] * norms[1] || 1);
  const angle = Math.acos(Math.min(1, Math.max(-1, dot))), sine = Math.sin(angle);
  if (sine <= 1e-4 || Math.min(...norms) <= 1e-6) return a.map((value, i) => value + t * (b[i] - value));
  const norm = (norms[0] + t * (norms[1] - norms[0])) / sine;
  const first = (Math.sin((1 - t) * angle) / norms[0]) * norm;
  const second = (Math.sin(t * angle) / norms[1]) * norm;
  return a.map((value, i) => first * value + second * b[i]);
}

/** Two directions at right angles, of length 1. */
function plane(noise, count) {
  const unit = (v) => v.map((value) => value / (Math.hypot(...v) || 1));
  const first = unit(noise.normals(count)), other = noise.normals(count);
  const shared = first.reduce((sum, value, i) => sum + value * other[i], 0);
  return [first, unit(other.map((value, i) => value - shared * first[i]))];
}

/**
 * A drawing as the images of MNIST were made: its box shrunk to 20 pixels, its centre of mass in
 * the middle.
 *
 * @param {Float32Array} drawn ink from 0 to 1
 * @param {number} side of the drawing
 * @param {number} target side of the image
 * @returns {Float32Array|null} null of an empty drawing
 */
function centred(drawn, side, target) {
  let left = side, right = -1, top = side, bottom = -1;
  for (let row = 0, i = 0; row < side; row++) {
    for (let column = 0; column < side; column++, i++) {
      if (drawn[i] < 0.1) continue;
      left = Math.min(left, column);
      right = Math.max(right, column);
      top = Math.min(top, row);
      bottom = Math.max(bottom, row);
    }
  }
  if (right < 0) return null;
  const longest = Math.max(right - left, bottom - top) + 1, step = longest / ((20 * target) / 28);
  const sums = new Float64Array(target * target);
  const centre = [0, 0, 0];
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const ink = drawn[row * side + column];
      centre[0] += ink;
      centre[1] += ink * row;
      centre[2] += ink * column;
    }
  }
  const middle = [centre[1] / centre[0], centre[2] / centre[0]];
  // Each pixel of the image is the mean of what it covers of the drawing.
  for (let row = 0, i = 0; row < target; row++) {
    for (let column = 0; column < target; column++, i++) {
      const from = [(row - target / 2) * step + middle[0], (column - target / 2) * step + middle[1]];
      let sum = 0, count = 0;
      for (let y = Math.round(from[0]); y < Math.max(from[0] + step, Math.round(from[0]) + 1); y++) {
        for (let x = Math.round(from[1]); x < Math.max(from[1] + step, Math.round(from[1]) + 1); x++) {
          const inside = y >= 0 && y < side && x >= 0 && x < side;
          sum += inside ? drawn[y * side + x] : 0;
          count++;
        }
      }
      sums[i] = sum / count;
    }
  }
  return Float32Array.from(sums);
}

/** A drawing made smaller, each pixel the mean of what it covers; arguments as of `centred`. */
function shrunk(drawn, side, target) {
  const step = side / target, made = new Float32Array(target * target);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      made[Math.floor(row / step) * target + Math.floor(column / step)] += drawn[row * side + column];
    }
  }
  return made.map((sum) => sum / step ** 2);
}
if (typeof module !== "undefined") module.exports = { Noise, codesOf, valid, between, plane, centred, shrunk };
