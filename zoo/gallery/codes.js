/* Codes of images: drawn from a seed, mixed, and the drawing that an encoder can read. */

/** Normal random numbers from a seed and a stream: sfc32 and Box-Muller. */
class Noise {
  constructor(seed, stream = 0) {
    this.state = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, stream >>> 0, 1];
    for (let i = 0; i < 16; i++) this.whole();
  }

  whole() {
    const s = this.state, made = (s[0] + s[1] + s[3]) >>> 0;
    s[3] = (s[3] + 1) >>> 0;
    s[0] = s[1] ^ (s[1] >>> 9);
    s[1] = (s[2] + (s[2] << 3)) >>> 0;
    s[2] = (((s[2] << 21) | (s[2] >>> 11)) + made) >>> 0;
    return made;
  }

  uniform() {
    return (this.whole() + 0.5) / 2 ** 32;
  }

  normal() {
    return Math.sqrt(-2 * Math.log(this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  vector(count) {
    return Float32Array.from({ length: count }, () => this.normal());
  }
}

/**
 * A code of a model for some noise.
 *
 * @param facts of the model
 * @param {Noise} noise
 * @param how {spread, fitted, label}: factor on deviations, whether to draw from the Gaussian that
 *   was fitted to codes of the training images, number of a label where codes have classes
 */
function codeOf(facts, noise, { spread = 1, fitted = false, label = null } = {}) {
  const code = noise.vector(facts.latents).map((value) => value * spread);
  if (fitted && facts.gaussian) {
    const { mean, scale } = facts.gaussian;
    return code.map((_, i) => scale[i].reduce((sum, factor, k) => sum + factor * code[k], mean[i]));
  }
  if (!facts.centers.length) return code;
  const count = facts.centers.length;
  const centre = facts.centers[label ?? Math.min(count - 1, Math.floor(noise.uniform() * count))];
  return code.map((value, i) => value + centre[i]);
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
  const first = unit(noise.vector(count)), other = noise.vector(count);
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
if (typeof module !== "undefined") module.exports = { Noise, codeOf, between, plane, centred };
