"""What one process computes of texts with a whole model, and each of several with its part."""

import torch
from torch import nn
from torch.distributed import get_world_size, init_device_mesh

from tests.contract.subjects import inputs
from tests.tiny import TINY
from zoo import catalog
from zoo.training.fsdp import cut
from zoo.training.gradients.sharding import whole

#: Every text model of the catalog, in each of its small variants.
VARIANTS = [(entry.name, variant) for entry in catalog.TEXTS for variant in TINY[entry.name]]
#: Those that four processes compute as well.
FEW = [
    ("gpt2", "plain"),
    ("genae_bert", "options"),
    ("genae_t5", "tied"),
    ("synthesizer", "mixed"),
]
BATCH, STEPS, RATE = 8, 20, 1e-3


def built(name, variant):
    """A small model without dropout."""
    torch.manual_seed(0)
    entry = catalog.ARCHITECTURES[name]
    config = catalog.load(entry.config)(**TINY[name][variant])
    for key, value in config.to_dict().items():
        if "drop" in key and isinstance(value, float):
            setattr(config, key, 0.0)
    model = catalog.load(entry.model)(config).double().train()
    with torch.no_grad():  # else small networks have units that are 0, where a ReLU has a kink
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def course(name, variant, rows=slice(None)):
    """Losses, first gradients, and parameters after 20 steps."""
    model = built(name, variant)
    if rows != slice(None):
        cut(model, init_device_mesh("cpu", (get_world_size(),)))
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    losses, first = [], {}
    given = {key: value[rows] for key, value in inputs(model.config, BATCH).items()}
    for step in range(STEPS):
        loss = model(**given).loss
        loss.backward()
        losses.append(loss.detach())
        if not step:
            first = {
                key: whole(parameter.grad).clone()
                for key, parameter in model.named_parameters()
                if parameter.grad is not None
            }
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    last = {key: whole(value).clone() for key, value in model.state_dict().items()}
    return {"losses": torch.stack(losses), "first": first, "last": last}
