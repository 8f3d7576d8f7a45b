"""What one process computes with a whole batch, and each of several with its part of it."""

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from tests.tiny import TINY
from zoo import catalog
from zoo.training import processes

#: Of every architecture those variants that couple the images of a batch, each in another way.
VARIANTS = [
    ("ae", "convolutional"),  # by batch norms alone
    ("vae", "clusters"),
    *(("eae", variant) for variant in TINY["eae"]),  # entropy, and the batch norm of the code
    *(("infomax", variant) for variant in TINY["infomax"]),  # negatives
    ("iwae", "convolutional"),
    ("vq_vae", "averages"),  # codes that move with their vectors
    ("vq_vae", "gradient"),
    ("dde", "convolutional"),
    ("mdsm", "residual"),  # noise levels by place in the batch
    ("classifier", "convolutional"),
]
#: Those that more than two processes compute as well.
FEW = [("eae", "convolutional"), ("infomax", "strided"), ("vq_vae", "averages")]
BATCH, STEPS, RATE = 16, 20, 1e-3


#: What noise is replaced by.
MADE = {torch.randn: 0.5, torch.randn_like: 0.5, torch.rand: 0.3, torch.rand_like: 0.3}


class Still(TorchFunctionMode):
    """Noise of every place in a batch alike, so that it does not matter who draws it."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if function in (torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.exponential_):
            return made.fill_(0.4)
        return made.fill_(MADE[function]) if function in MADE else made


def built(name, variant):
    torch.manual_seed(0)
    entry = catalog.ARCHITECTURES[name]
    config = catalog.load(entry.config)(**TINY[name][variant])
    model = catalog.load(entry.model)(config).double().train()
    with torch.no_grad():  # else small networks have units that are 0, where a ReLU has a kink
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def batch(model, rows=slice(None)):
    """Inputs of the rows of a batch, the same for everybody."""
    generator = torch.Generator().manual_seed(1)
    config = model.config
    shape = getattr(config, "input_shape", None)
    shape = shape or [config.num_channels, config.image_size, config.image_size]
    made = {"pixel_values": torch.rand(BATCH, *shape, generator=generator, dtype=torch.float64)}
    if model.learns_labels:
        made["labels"] = torch.arange(BATCH) % max(2, getattr(config, "num_labels", 2))
    return {key: value[rows] for key, value in made.items()}


def course(name, variant, rows=slice(None), accumulated=1):
    """Losses, first gradients, and parameters and buffers after 20 steps."""
    model = built(name, variant)
    spread = rows != slice(None)
    run = DistributedDataParallel(model, find_unused_parameters=True) if spread else model
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    losses, first = [], {}
    with Still(), processes.together(model):
        for step in range(STEPS):
            torch.manual_seed(step)
            for part in range(accumulated):
                inputs = {key: value.roll(part, 0) for key, value in batch(model).items()}
                loss = run(**{key: value[rows] for key, value in inputs.items()}).loss
                (loss / accumulated).backward()
            losses.append(loss.detach())
            if not step:
                first = {
                    key: p.grad.clone()
                    for key, p in model.named_parameters()
                    if p.grad is not None
                }
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    return {"losses": torch.stack(losses), "first": first, "last": dict(model.state_dict())}
