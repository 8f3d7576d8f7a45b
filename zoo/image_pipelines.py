"""Pipelines of images, for what transformers' own do not expect of an autoencoder."""

from typing import Any

from transformers import ImageFeatureExtractionPipeline, Pipeline
from transformers.modeling_outputs import BaseModelOutput


class CodesPipeline(ImageFeatureExtractionPipeline):
    """Images to their codes, which `encode` of the model gives."""

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        model: Any = self.model
        (inputs,) = args
        return BaseModelOutput(last_hidden_state=model.encode(inputs["pixel_values"]))


class SamplesPipeline(Pipeline):
    """A number of new images, as those of Pillow."""

    def __call__(self, inputs: int = 1, *args: Any, **kwargs: Any) -> Any:
        """Draw so many images; options are those of the model's `sample`, such as `seed`."""
        draw: Any = super().__call__
        return draw(inputs, *args, **kwargs)

    def _sanitize_parameters(self, **pipeline_parameters: Any) -> Any:
        return {}, pipeline_parameters, {}

    def preprocess(self, input_: Any, **preprocess_parameters: Any) -> Any:
        """A number as what `sample` takes."""
        return {"num_samples": input_}

    def _forward(self, input_tensors: Any, **forward_parameters: Any) -> Any:
        model: Any = self.model
        return model.sample(**input_tensors, **forward_parameters)

    def postprocess(self, model_outputs: Any, **postprocess_parameters: Any) -> Any:
        """Pixel values `(N, C, H, W)` in [0, 1] as images."""
        processor: Any = self.image_processor
        return processor.post_process(model_outputs)


PIPELINES: dict[str, Any] = {
    "image-feature-extraction": CodesPipeline,
    "unconditional-image-generation": SamplesPipeline,
}
