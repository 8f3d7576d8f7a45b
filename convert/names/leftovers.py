"""Leftover tensors of training: known by name, and left out with a reason.

A pattern here is of the stored name, and names nothing that a model could read: slots end in the
word of their optimizer, counters stand alone, what Keras's optimizers keep lies in their scope.
"""

from __future__ import annotations

import re

SLOT, COUNTER, RATE = "optimizer slot", "step counter", "optimizer setting"
SCALE, SUMS, METRIC = "loss scale of mixed precision", "accumulated gradients", "metric"
SHADOW = "float32 copy of a float16 weight"
AVERAGE = "moving average"
CASING = "casing of texts, which the vocabulary tells"

#: Words of TensorFlow's optimizers, as slots of a variable are called: `kernel/Adam_1`.
SLOTS = (
    *("Adam", "AdamW", "AdamWeightDecay", "AdamWeightDecayOptimizer", "Nadam", "AdaMax"),
    *("AdamOptimizer", "AdamWOptimizer", "LAMB", "LAMBOptimizer", "LARS", "LARSOptimizer"),
    *("LazyAdam", "LazyAdamOptimizer", "RectifiedAdam", "RAdam", "AMSGrad", "AdaBound"),
    *("Momentum", "RMSProp", "Adagrad", "Adadelta", "Ftrl", "ProximalAdagrad", "slow"),
    *("Adafactor", "AdafactorOptimizer"),
    *("adam_[mv]", "lamb_[mv]", "lars_m", "adafactor_(?:vr|vc|v|m)", "radam_[mv]"),
)
#: Optimizers of Keras, as their scopes are called: `training/Adam/kernel/m`.
SCOPES = (
    *("Adam", "AdamW", "AdamWeightDecay", "Adamax", "Nadam", "SGD", "RMSprop", "Adagrad"),
    *("Adadelta", "Ftrl", "LAMB", "Lamb", "LazyAdam", "RectifiedAdam", "AdaFactor", "Adafactor"),
)
KERAS = rf"^(?:training(?:_\d+)?/)?(?:{'|'.join(SCOPES)})(?:_\d+)?/"
VALUE = r"(?:/\.ATTRIBUTES/VARIABLE_VALUE)?(?::0)?$"

#: A pattern of stored names, and what they are.
LEFTOVERS = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (rf"(^|/)(global_step|local_step|train_step|accum_step)(_\d+)?{VALUE}", COUNTER),
        (rf"^(step|epoch|iteration|save_counter|ckpt_counter){VALUE}", COUNTER),
        (rf"(^|/)beta[12]_power(_\d+)?{VALUE}", RATE),
        (rf"^(.*/)?(learning_rate|lr){VALUE}", RATE),
        (rf"(^|/)({'|'.join(SLOTS)})(_\d+)?{VALUE}", SLOT),
        (r"_slot_(v|vr|vc|m)$", SLOT),
        (rf"/ExponentialMovingAverage{VALUE}", AVERAGE),
        (r"/\.OPTIMIZER_SLOT/[^/]+/(average|ema)/\.ATTRIBUTES", AVERAGE),
        (r"/\.OPTIMIZER_SLOT/", SLOT),
        (
            r"(^|/)(loss_scale|loss-scale|loss_scaling|current_loss_scale|(num_)?good_steps|bad_steps)"
            rf"(_\d+)?{VALUE}",
            SCALE,
        ),
        (r"(^|/)(loss_scale|loss-scale|loss_scaler|loss_scale_optimizer|loss_scaling)/", SCALE),
        (rf"(^|/)(batch_finite|all_finite){VALUE}", SCALE),
        (rf"/(accum|grad_accum|accum_grads?|gradient_accum(ulat(or|ion))?){VALUE}", SUMS),
        (rf"/shadow{VALUE}", SHADOW),  # NVIDIA's BERT
        (r"(^|/)(accum_grads?|accum_vars?|grad_accum|gradient_accumulat(ion|or))(_\d+)?/", SUMS),
        (r"(^|/)(horovod|hvd|aggregation_(variables?|counter))\w*(/|$)", SUMS),
        (r"(^|/)(cross_replica\w*|CrossShardOptimizer)(_\d+)?(/|$)", SLOT),
        (rf"{KERAS}.*/(m|v|vhat|rms|momentum|accumulator|velocity|slow){VALUE}", SLOT),
        (rf"{KERAS}(m|v|vhat|rms|momentum|accumulator)/", SLOT),
        (rf"{KERAS}(iter|iterations){VALUE}", COUNTER),
        (
            rf"{KERAS}(decay|beta_[12]|rho|momentum|epsilon|lr|learning_rate|Variable\w*){VALUE}",
            RATE,
        ),
        (r"^(.*/)?optimizer(_weights)?/(iter|iterations|_iterations)(/|:|$)", COUNTER),
        (r"^(.*/)?optimizer(_weights)?/", SLOT),
        (r"^save_counter/|^_?global_step/", COUNTER),
        (rf"^(.*/)?do_lower_case{VALUE}", CASING),
        (r"^(.*/)?keras_api/metrics/", METRIC),
        (rf"^do_lower_case{VALUE}", "whether texts are lower-cased"),
        (r"^(metrics|.*_metrics?)/\d+/(total|count|true_positives)", METRIC),
    )
)


def why_left_over(name: str) -> str | None:
    """What a stored tensor is where it is no weight of a model, else None."""
    return next((reason for pattern, reason in LEFTOVERS if pattern.search(name)), None)
