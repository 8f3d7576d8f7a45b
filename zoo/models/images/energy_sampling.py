"""How energy models draw: chains, their stream of states, inpainting, interpolation."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from .checks import one_of
from .energies import EnergyModel
from .importance import standard_normal
from .langevin import ChainState, hamiltonian, langevin, temperature_schedule
from .modeling_image import random_generator
from .partition import LogZBounds, annealed_log_z, reversed_log_z

CHAIN_BATCH = 512
CHAINS = ("langevin", "metropolis", "hamiltonian")


class SamplingEnergyModel(EnergyModel):
    """An energy with the chains that draw from it; see `EnergyModel` for the conventions."""

    def sample(
        self,
        num_samples: int,
        *,
        sampler: str | None = None,
        steps: int | None = None,
        temperature: float | None = None,
        jump: bool | None = None,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        on_step: Callable[[ChainState], None] | None = None,
    ) -> Tensor:
        """Draw images or vectors, without a graph, in eval mode.

        Args:
            num_samples: N.
            sampler: `langevin`, `metropolis` (each step accepted or refused) or `hamiltonian`;
                `generator` where the model has one, which is then the default.
            steps: of the chains; the config's schedule, in its proportions, if None.
            temperature: the same at all steps instead of the schedule; of a generator, factor on
                the standard deviation of its noise.
            jump: denoise once at the end; None does so for chains and not for a generator.
            seed: names the samples.
            generator: of random numbers, instead of a seed.
            on_step: called with the state of the chains after each of their steps, for a bar or
                for images of the way; the state's tensors are not to be changed.

        Returns:
            Images `(N, C, H, W)`, clamped to [0, 1], or vectors `(N, d)`.

        Raises:
            ValueError: for a sampler that the model lacks, or an argument out of its range.
        """
        options = self.sampling_options(
            sampler=sampler, steps=steps, temperature=temperature, jump=jump
        )
        jump = options.pop("jump")
        drawn = self.undenoised(
            num_samples, **options, seed=seed, generator=generator, on_step=on_step
        )
        return self.finished(drawn, jump)

    def sampling_options(
        self,
        *,
        sampler: str | None = None,
        steps: int | None = None,
        temperature: float | None = None,
        jump: bool | None = None,
    ) -> dict[str, Any]:
        """The options of `sample` as it uses them, defaults filled in; only those that apply.

        A generator's have no `steps`; those of chains have a `temperature` only where it takes
        the place of the schedule. Arguments and errors are those of `sample`.
        """
        sampler = self._sampler(sampler)
        schedule = self.schedule(steps, temperature)
        options: dict[str, Any] = {"sampler": sampler}
        if sampler != "generator":
            options["steps"] = len(schedule)
        elif steps is not None:
            raise ValueError(
                "steps: a generator has none; leave them out, or name another sampler"
            )
        if sampler == "generator" or temperature is not None:
            options["temperature"] = 1.0 if temperature is None else float(temperature)
        return options | {"jump": sampler != "generator" if jump is None else jump}

    def undenoised(
        self,
        num_samples: int,
        *,
        sampler: str | None = None,
        steps: int | None = None,
        temperature: float | None = None,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        on_step: Callable[[ChainState], None] | None = None,
    ) -> Tensor:
        """Where chains end, or what a generator makes: `sample` before its last two steps.

        Arguments and errors are those of `sample`; `finished` makes its result of this one.

        Returns:
            Images or vectors `(N, ...)`, not clamped.
        """
        sampler = self._sampler(sampler)
        schedule = self.schedule(steps, temperature)
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}")
        self._check_precision(self._like())
        generator = random_generator(seed, generator)
        drawn = []
        with self.inference():
            for start in range(0, num_samples, CHAIN_BATCH):
                count = min(CHAIN_BATCH, num_samples - start)
                if sampler == "generator":
                    heat = 1.0 if temperature is None else temperature
                    drawn.append(self.generate(count, heat, generator))
                else:
                    drawn.append(self._run(count, sampler, schedule, generator, on_step).x)
        return torch.cat(drawn)

    def finished(self, drawn: Tensor, jump: bool) -> Tensor:
        """What `undenoised` drew, denoised once or not, images clamped to [0, 1]; no graph."""
        with self.inference():
            if jump:
                drawn = torch.cat([self.denoise(x) for x in drawn.split(CHAIN_BATCH)])
            return self._shown(drawn)

    def chains(
        self,
        num_samples: int,
        *,
        sampler: str = "langevin",
        steps: int | None = None,
        temperature: float | None = None,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        state: ChainState | None = None,
    ) -> Iterator[ChainState]:
        """The walk of `sample` as a stream of states, one after each step, before any jump.

        Args:
            num_samples: chains, all at once.
            sampler: one of `langevin`, `metropolis`, `hamiltonian`.
            steps: as in `sample`.
            temperature: as in `sample`.
            seed: as in `sample`.
            generator: as in `sample`.
            state: go on from a state of an earlier walk with the same arguments.
        """
        one_of("sampler", sampler, CHAINS)
        schedule = self.schedule(steps, temperature)
        generator = random_generator(seed, generator)
        if state is None:
            state = ChainState(self._starts(num_samples, generator))
        return self._walk(sampler, state, schedule, generator)

    def schedule(self, steps: int | None = None, temperature: float | None = None) -> Tensor:
        """Temperatures of a walk, `(S,)`; arguments as in `sample`."""
        config = self.config
        parts = [config.hold_steps, config.anneal_steps, config.cool_steps]
        if steps is not None:
            if steps < 1:
                raise ValueError(f"steps must be at least 1, got {steps}")
            shares = torch.tensor(parts, dtype=torch.float64)
            ends = (shares.cumsum(0) / max(float(shares.sum()), 1) * steps).round().long()
            ends[-1] = steps
            parts = ends.diff(prepend=torch.zeros(1, dtype=torch.long)).tolist()
        if temperature is None:
            return temperature_schedule(config.max_temperature, *parts)
        if not 0 <= temperature < float("inf"):
            raise ValueError(f"temperature must be 0 or more and finite, got {temperature}")
        return torch.full((sum(parts),), float(temperature), dtype=torch.float64)

    def inpaint(
        self,
        images: Tensor,
        mask: Tensor,
        *,
        steps: int | None = None,
        temperature: float | None = None,
        jump: bool = True,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        on_step: Callable[[ChainState], None] | None = None,
    ) -> Tensor:
        """Fill in what is missing by annealed Langevin chains, without a graph.

        At each step what is known is put back with noise of the step's temperature, so that the
        chains see everywhere the level that they have reached.

        Args:
            images: images or vectors `(N, ...)`; what they hold at missing places is not read.
            mask: true where something is missing, of a shape that broadcasts to the images'.
            steps: as in `sample`.
            temperature: as in `sample`.
            jump: denoise once at the end.
            seed: as in `sample`.
            generator: as in `sample`.
            on_step: as in `sample`.

        Returns:
            Shape of the images; the known places are the given ones, exactly.
        """
        self._check_points(images)
        missing = mask.to(images.device).bool().expand(images.shape)
        known = torch.where(missing, torch.zeros_like(images), images)
        schedule, generator = self.schedule(steps, temperature), random_generator(seed, generator)
        level = self.noise_level

        def constrain(x: Tensor, heat: float) -> Tensor:
            noise = standard_normal(x.shape, x, generator)
            return torch.where(missing, x, known + heat**0.5 * level * noise)

        with self.inference():
            x = constrain(self._starts(len(images), generator), self.config.max_temperature)
            state = ChainState(x.to(images))
            for moved in langevin(
                self.raw_log_density, state, schedule, self.config.step_size,
                generator=generator, constrain=constrain,
            ):  # fmt: skip
                state = moved
                if on_step is not None:
                    on_step(state)
            filled = self.denoise(state.x) if jump else state.x
        return torch.where(missing, self._shown(filled), images)

    def interpolate(
        self,
        a: Tensor,
        b: Tensor,
        steps: int,
        *,
        chain_steps: int = 100,
        temperature: float = 1.0,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Points on the straight way between two, each moved to where the density is high.

        From noisy points on the line, Langevin chains that share one noise, then the jump.

        Args:
            a: images or vectors, `(B, ...)`.
            b: the same shape.
            steps: points a row, both ends included, at least 2.
            chain_steps: of each chain.
            temperature: of the chains.
            seed: of the noise.
            generator: instead of a seed.

        Returns:
            Shape `(B, steps, ...)`; the ends are a and b.
        """
        if steps < 2:
            raise ValueError(f"steps must be at least 2, got {steps}")
        if a.shape != b.shape:
            raise ValueError(f"a has shape {tuple(a.shape)}, b {tuple(b.shape)}: make them equal")
        self._check_points(a)
        schedule, generator = (
            self.schedule(chain_steps, temperature),
            random_generator(seed, generator),
        )
        noise = self.noise_level * standard_normal(a.shape, a, generator)
        # One seed for all points: neighbours on the line stay neighbours.
        chain_seed = int(torch.randint(2**31, (), generator=generator))
        rows = []
        with self.inference():
            for share in torch.linspace(0, 1, steps).tolist()[1:-1]:
                state = ChainState(a + share * (b - a) + noise)
                own = torch.Generator().manual_seed(chain_seed)
                for moved in self._walk("langevin", state, schedule, own):
                    state = moved
                rows.append(self._shown(self.denoise(state.x)))
        return torch.stack([a, *rows, b], dim=1)

    def generate(
        self, num_samples: int, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """Draws of the generator, `(N, ...)`, with gradient, where a model has one."""
        raise NotImplementedError

    @property
    def samplers(self) -> tuple[str, ...]:
        """Names that `sample` takes, the default first."""
        return CHAINS

    def _sampler(self, name: str | None) -> str:
        if name is None:
            return self.samplers[0]
        one_of("sampler", name, self.samplers)
        return name

    def _walk(
        self, sampler: str, state: ChainState, schedule: Tensor, generator: torch.Generator | None
    ) -> Iterator[ChainState]:
        config = self.config
        if sampler == "hamiltonian":
            return hamiltonian(
                self.raw_log_density, state, schedule, config.start_mean, config.start_scale,
                generator=generator,
            )  # fmt: skip
        return langevin(
            self.raw_log_density, state, schedule, config.step_size,
            generator=generator, adjusted=sampler == "metropolis",
        )  # fmt: skip

    def _run(
        self,
        count: int,
        sampler: str,
        schedule: Tensor,
        generator: torch.Generator | None,
        on_step: Callable[[ChainState], None] | None = None,
    ) -> ChainState:
        state = ChainState(self._starts(count, generator))
        for moved in self._walk(sampler, state, schedule, generator):
            state = moved
            if on_step is not None:
                on_step(state)
        return state

    def _starts(self, count: int, generator: torch.Generator | None) -> Tensor:
        noise = standard_normal((count, *self.config.data_shape), self._like(), generator)
        starts: Tensor = self.config.start_mean + self.config.start_scale * noise
        return starts

    def log_z_bounds(
        self, num_chains: int = 16, seed: int = 0, *, num_temperatures: int = 1000
    ) -> LogZBounds:
        """Log Z by annealed importance sampling both ways, in nats; see `LogZBounds`.

        The way back starts from the model's own chains at temperature 1, so its bound is one as
        far as these have reached the density.
        """
        generator = torch.Generator().manual_seed(seed)
        with self.inference():
            density = self._standardized()
            lower, forth = annealed_log_z(
                density, num_chains, num_temperatures, self._like(), generator
            )
            config = self.config
            schedule = temperature_schedule(
                config.max_temperature, config.hold_steps, config.anneal_steps, 0
            )
            state = self._run(num_chains, "langevin", schedule, generator)
            upper, back = reversed_log_z(density, state.x, num_temperatures, generator)
        return LogZBounds(lower.value, upper.value, 0.5 * (forth + back))

    def _shown(self, x: Tensor) -> Tensor:
        """Images in [0, 1]; vectors as they are."""
        return x.clamp(0, 1) if self.config.input_shape is None else x
