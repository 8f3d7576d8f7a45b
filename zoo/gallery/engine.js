/*
 * The engine of genae's gallery: runs small networks in a browser or in node, with nothing else.
 *
 * A network is data, as `zoo/gallery/tracing.py` writes it:
 *
 *   inputs   shapes of what goes in, without a batch
 *   tensors  {shape, at, half}: numbers in a buffer from byte `at` on, in half or single precision
 *   nodes    {op, from, shape, ...}: an operation, the values that it reads, the shape that it makes
 *   output   the value that comes out
 *
 * Values are numbered: inputs first, then nodes in order. An operation writes into an array made
 * once, so that an image leaves no garbage; only the output is a copy. Each is what PyTorch's
 * operation of that name computes for one example, in single precision: tests/gallery holds every
 * one to it on random shapes.
 */
const engine = (() => {
  "use strict";

  const size = (shape) => shape.reduce((product, side) => product * side, 1);

  /** Half precision numbers as single precision ones, bit by bit. */
  function widened(halves) {
    const bits = new Uint32Array(halves.length);
    const numbers = new Float32Array(bits.buffer);
    for (let i = 0; i < halves.length; i++) {
      const half = halves[i], sign = (half & 0x8000) << 16, rest = half & 0x7fff;
      if (rest >= 0x7c00) bits[i] = sign | 0x7f800000 | ((rest & 0x3ff) << 13); // infinite or none
      else if (rest >= 0x400) bits[i] = sign | ((rest << 13) + 0x38000000);
      else numbers[i] = (sign ? -rest : rest) / 0x1000000; // below 2^-14
    }
    return numbers;
  }

  function read(tensor, buffer) {
    const count = size(tensor.shape);
    return tensor.half
      ? widened(new Uint16Array(buffer, tensor.at, count))
      : new Float32Array(buffer, tensor.at, count);
  }

  /** Steps from one entry to the next along each axis, of a tensor whose entries lie in order. */
  function strides(shape) {
    const steps = new Array(shape.length);
    for (let axis = shape.length - 1, step = 1; axis >= 0; axis--) {
      steps[axis] = step;
      step *= shape[axis];
    }
    return steps;
  }

  /** Axes before one, its own length, and entries behind it: all that a sum along it needs. */
  function along(shape, axis) {
    return [size(shape.slice(0, axis)), shape[axis], size(shape.slice(axis + 1))];
  }

  /**
   * A weight with the norm that follows folded into it: w s, b s + t for each output channel.
   *
   * Channels of outputs come first in a weight but for transposed convolutions, where each group
   * has its own along the second axis.
   */
  function folded(node, weights, axis) {
    const { weight, bias, scale, shift } = weights;
    if (!scale) return { weight, bias };
    const [before, outputs, behind] = along(node.weightShape, axis);
    const channels = scale.length, groups = axis === 0 ? 1 : channels / outputs;
    const made = new Float32Array(weight.length);
    for (let outer = 0, i = 0; outer < before; outer++) {
      const group = axis === 0 ? 0 : Math.floor(outer / (before / groups));
      for (let channel = 0; channel < outputs; channel++) {
        const factor = scale[group * outputs + channel];
        for (let inner = 0; inner < behind; inner++, i++) made[i] = weight[i] * factor;
      }
    }
    const moved = Float32Array.from(shift, (t, k) => (bias ? bias[k] * scale[k] : 0) + t);
    return { weight: made, bias: moved };
  }

  /**
   * The products of a vector with rows of a matrix, four at a time, which keeps a processor busy.
   *
   * @param write is given the number of a row and its product
   */
  function products(matrix, from, rows, vector, start, count, write) {
    let row = 0;
    for (; row + 4 <= rows; row += 4) {
      const a = from + row * count, b = a + count, c = b + count, d = c + count;
      let first = 0, second = 0, third = 0, fourth = 0;
      for (let i = 0; i < count; i++) {
        const value = vector[start + i];
        first += matrix[a + i] * value;
        second += matrix[b + i] * value;
        third += matrix[c + i] * value;
        fourth += matrix[d + i] * value;
      }
      write(row, first);
      write(row + 1, second);
      write(row + 2, third);
      write(row + 3, fourth);
    }
    for (; row < rows; row++) {
      let sum = 0;
      for (let i = 0, at = from + row * count; i < count; i++) sum += matrix[at + i] * vector[start + i];
      write(row, sum);
    }
  }

  function linear(out, node, [x], { weight, bias }) {
    const [units, count] = node.weightShape, rows = x.length / count;
    for (let row = 0; row < rows; row++) {
      const place = row * units;
      products(weight, 0, units, x, row * count, count, (unit, sum) => {
        out[place + unit] = bias ? sum + bias[unit] : sum;
      });
    }
  }

  /** What a kernel sees at each place, gathered, times its weights. */
  function conv2d(out, node, [x], { weight, bias }) {
    const [outputs, inputs, kernelTall, kernelWide] = node.weightShape;
    const [, tall, wide] = node.shape, [, height, width] = node.inputShape;
    const [downStep, sideStep] = node.stride, [top, left] = node.padding;
    const [downGap, sideGap] = node.dilation, perGroup = outputs / node.groups;
    const count = inputs * kernelTall * kernelWide, seen = new Float32Array(count);
    for (let group = 0; group < node.groups; group++) {
      const first = group * inputs, unit = group * perGroup;
      for (let row = 0; row < tall; row++) {
        for (let column = 0; column < wide; column++) {
          for (let input = 0, i = 0; input < inputs; input++) {
            for (let down = 0; down < kernelTall; down++) {
              const line = row * downStep + down * downGap - top;
              const source = ((first + input) * height + line) * width;
              const inside = line >= 0 && line < height;
              for (let side = 0; side < kernelWide; side++, i++) {
                const place = column * sideStep + side * sideGap - left;
                seen[i] = inside && place >= 0 && place < width ? x[source + place] : 0;
              }
            }
          }
          const place = row * wide + column;
          products(weight, unit * count, perGroup, seen, 0, count, (output, sum) => {
            const channel = unit + output;
            out[channel * tall * wide + place] = bias ? sum + bias[channel] : sum;
          });
        }
      }
    }
  }

  /** Each input pixel's product with the weights, added where its kernel lies in the output. */
  function convTranspose2d(out, node, [x], { weight, bias }) {
    const [inputs, outputs, kernelTall, kernelWide] = node.weightShape;
    const [, tall, wide] = node.shape, [, height, width] = node.inputShape;
    const [downStep, sideStep] = node.stride, [top, left] = node.padding;
    const [downGap, sideGap] = node.dilation, perGroup = inputs / node.groups;
    const count = outputs * kernelTall * kernelWide, made = new Float32Array(count);
    if (!bias) out.fill(0);
    else bias.forEach((value, k) => out.fill(value, k * tall * wide, (k + 1) * tall * wide));
    for (let group = 0; group < node.groups; group++) {
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++) {
          made.fill(0);
          let input = group * perGroup;
          const last = input + perGroup, place = row * width + column, step = height * width;
          for (; input + 4 <= last; input += 4) {
            const source = input * step + place, a = input * count, b = a + count, c = b + count;
            const d = c + count, first = x[source], second = x[source + step];
            const third = x[source + 2 * step], fourth = x[source + 3 * step];
            for (let i = 0; i < count; i++) {
              made[i] +=
                first * weight[a + i] + second * weight[b + i] +
                third * weight[c + i] + fourth * weight[d + i];
            }
          }
          for (; input < last; input++) {
            const value = x[input * step + place], a = input * count;
            for (let i = 0; i < count; i++) made[i] += value * weight[a + i];
          }
          for (let output = 0, i = 0; output < outputs; output++) {
            for (let down = 0; down < kernelTall; down++) {
              const line = row * downStep + down * downGap - top;
              const target = ((group * outputs + output) * tall + line) * wide;
              const inside = line >= 0 && line < tall;
              for (let side = 0; side < kernelWide; side++, i++) {
                const at = column * sideStep + side * sideGap - left;
                if (inside && at >= 0 && at < wide) out[target + at] += made[i];
              }
            }
          }
        }
      }
    }
  }

  /** The largest or the mean of each window; what is outside never counts as the largest. */
  function pool(best) {
    return (out, node, [x]) => {
      const [channels, tall, wide] = node.shape, [, height, width] = node.inputShape;
      const [windowTall, windowWide] = node.kernel, [downStep, sideStep] = node.stride;
      const [top, left] = node.padding, area = windowTall * windowWide;
      for (let channel = 0, at = 0; channel < channels; channel++) {
        for (let row = 0; row < tall; row++) {
          for (let column = 0; column < wide; column++, at++) {
            let found = best ? -Infinity : 0;
            for (let down = 0; down < windowTall; down++) {
              const line = row * downStep + down - top;
              if (line < 0 || line >= height) continue;
              for (let side = 0; side < windowWide; side++) {
                const place = column * sideStep + side - left;
                if (place < 0 || place >= width) continue;
                const value = x[(channel * height + line) * width + place];
                found = best ? Math.max(found, value) : found + value / area;
              }
            }
            out[at] = found;
          }
        }
      }
    };
  }

  function upsampleNearest2d(out, node, [x]) {
    const [channels, tall, wide] = node.shape, [, height, width] = node.inputShape;
    for (let channel = 0, at = 0; channel < channels; channel++) {
      for (let row = 0; row < tall; row++) {
        const line = (channel * height + Math.floor((row * height) / tall)) * width;
        for (let column = 0; column < wide; column++) {
          out[at++] = x[line + Math.floor((column * width) / wide)];
        }
      }
    }
  }

  /** x s + t for each channel, the first axis. */
  function affine(out, node, [x], { scale, shift }) {
    const behind = x.length / scale.length;
    for (let channel = 0, i = 0; channel < scale.length; channel++) {
      for (const end = i + behind; i < end; i++) out[i] = x[i] * scale[channel] + shift[channel];
    }
  }

  /** A function of each entry. */
  const each = (make) => (out, node, [x]) => {
    const f = make(node);
    for (let i = 0; i < x.length; i++) out[i] = f(x[i]);
  };

  /** A function of two tensors, each entry with its own; axes of length 1 go with all. */
  const both = (f) => (out, node, [x, y]) => {
    if (x.length === out.length && y.length === out.length) {
      for (let i = 0; i < out.length; i++) out[i] = f(x[i], y[i]);
      return;
    }
    const shape = node.shape, steps = strides(shape);
    const spread = (own) => {
      const padded = new Array(shape.length - own.length).fill(1).concat(own);
      return strides(padded).map((step, axis) => (padded[axis] === 1 ? 0 : step));
    };
    const [first, second] = node.inputShapes.map(spread);
    for (let i = 0; i < out.length; i++) {
      let rest = i, a = 0, b = 0;
      for (let axis = 0; axis < shape.length; axis++) {
        const index = Math.floor(rest / steps[axis]);
        rest -= index * steps[axis];
        a += index * first[axis];
        b += index * second[axis];
      }
      out[i] = f(x[a], y[b]);
    }
  };

  function softmax(out, node, [x]) {
    const [before, count, behind] = along(node.shape, node.axis);
    for (let outer = 0; outer < before; outer++) {
      for (let inner = 0; inner < behind; inner++) {
        const start = outer * count * behind + inner;
        let most = -Infinity, sum = 0;
        for (let k = 0; k < count; k++) most = Math.max(most, x[start + k * behind]);
        for (let k = 0; k < count; k++) {
          sum += out[start + k * behind] = Math.exp(x[start + k * behind] - most);
        }
        for (let k = 0; k < count; k++) out[start + k * behind] /= sum;
      }
    }
  }

  /** A number for all entries along an axis: `finish` of the sum of `f`. */
  const reduce = (f, finish) => (out, node, [x]) => {
    const [before, count, behind] = along(node.inputShape, node.axis);
    for (let outer = 0, at = 0; outer < before; outer++) {
      for (let inner = 0; inner < behind; inner++, at++) {
        let sum = 0;
        for (let k = 0; k < count; k++) sum += f(x[(outer * count + k) * behind + inner]);
        out[at] = finish(sum, count);
      }
    }
  };

  function slice(out, node, [x]) {
    const [before, count, behind] = along(node.inputShape, node.axis);
    const kept = node.shape[node.axis] * behind;
    for (let outer = 0; outer < before; outer++) {
      const start = (outer * count + node.start) * behind;
      out.set(x.subarray(start, start + kept), outer * kept);
    }
  }

  function cat(out, node, parts) {
    const before = size(node.shape.slice(0, node.axis));
    for (let outer = 0, at = 0; outer < before; outer++) {
      for (const part of parts) {
        const kept = part.length / before;
        out.set(part.subarray(outer * kept, (outer + 1) * kept), at);
        at += kept;
      }
    }
  }

  function permute(out, node, [x]) {
    const steps = strides(node.shape), from = strides(node.inputShape);
    for (let i = 0; i < out.length; i++) {
      let rest = i, at = 0;
      for (let axis = 0; axis < steps.length; axis++) {
        const index = Math.floor(rest / steps[axis]);
        rest -= index * steps[axis];
        at += index * from[node.order[axis]];
      }
      out[i] = x[at];
    }
  }

  const copy = (out, node, [x]) => out.set(x);

  /** The error function to single precision: Abramowitz and Stegun, 7.1.5 and 7.1.14. */
  function erf(x) {
    const a = Math.abs(x);
    if (a > 4) return Math.sign(x);
    if (a < 2.5) {
      let term = a, sum = a;
      for (let n = 1; Math.abs(term) > 1e-9 && n < 80; n++) {
        term *= (-a * a) / n;
        sum += term / (2 * n + 1);
      }
      return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
    }
    let rest = 0;
    for (let n = 60; n > 0; n--) rest = n / 2 / (a + rest);
    return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + rest));
  }

  const gelu = ({ approximate }) =>
    approximate
      ? (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
      : (x) => 0.5 * x * (1 + erf(x / Math.SQRT2));

  const OPERATIONS = {
    linear,
    conv2d,
    conv_transpose2d: convTranspose2d,
    max_pool2d: pool(true),
    avg_pool2d: pool(false),
    upsample_nearest2d: upsampleNearest2d,
    affine,
    relu: each(() => (x) => Math.max(0, x)),
    sigmoid: each(() => (x) => 1 / (1 + Math.exp(-x))),
    tanh: each(() => Math.tanh),
    exp: each(() => Math.exp),
    sqrt: each(() => Math.sqrt),
    neg: each(() => (x) => -x),
    silu: each(() => (x) => x / (1 + Math.exp(-x))),
    softplus: each(() => (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
    elu: each(({ alpha }) => (x) => (x > 0 ? x : alpha * Math.expm1(x))),
    leaky_relu: each(({ slope }) => (x) => (x > 0 ? x : slope * x)),
    gelu: each(gelu),
    clamp: each(({ low, high }) => (x) => Math.min(high ?? Infinity, Math.max(low ?? -Infinity, x))),
    add: both((x, y) => x + y),
    sub: both((x, y) => x - y),
    mul: both((x, y) => x * y),
    div: both((x, y) => x / y),
    softmax,
    mean: reduce((x) => x, (sum, count) => sum / count),
    sum: reduce((x) => x, (sum) => sum),
    norm: reduce((x) => x * x, Math.sqrt),
    slice,
    cat,
    permute,
    reshape: copy,
  };
  /** The axis of a weight that runs over the channels of outputs, where a norm may be folded in. */
  const FOLDED = { linear: 0, conv2d: 0, conv_transpose2d: 1 };

  /**
   * A network ready to run.
   *
   * @param network as above
   * @param {ArrayBuffer} buffer the numbers of its tensors
   * @returns a function of one Float32Array for each input that gives the output as a new one
   * @throws {Error} for an operation that there is not, or an input of another size
   */
  function load(network, buffer) {
    const tensors = network.tensors.map((tensor) => read(tensor, buffer));
    const values = network.inputs.map(() => null);
    const steps = [];
    for (const node of network.nodes) {
      if (node.op === "constant") {
        values.push(tensors[node.tensor]);
        continue;
      }
      const run = OPERATIONS[node.op];
      if (!run) throw new Error(`the engine has no operation ${node.op}`);
      let weights = {};
      for (const [name, number] of Object.entries(node.weights ?? {})) weights[name] = tensors[number];
      if (node.op in FOLDED) weights = folded(node, weights, FOLDED[node.op]);
      const out = new Float32Array(size(node.shape));
      values.push(out);
      steps.push({ run, node, out, weights });
    }
    return (...inputs) => {
      network.inputs.forEach((shape, number) => {
        if (inputs[number]?.length !== size(shape)) {
          throw new Error(`input ${number} must have ${size(shape)} numbers`);
        }
        values[number] = inputs[number];
      });
      for (const { run, node, out, weights } of steps) {
        run(out, node, node.from.map((number) => values[number]), weights);
      }
      return values[network.output].slice();
    };
  }

  return { load, operations: Object.keys(OPERATIONS) };
})();
if (typeof module !== "undefined") module.exports = engine;
