from zoo import data as data
from zoo import evaluation as evaluation
from zoo import models as models
from zoo import plots as plots
from zoo import registry as registry
from zoo import training as training
from zoo.card import Card as Card
from zoo.drawing import interpolate as interpolate
from zoo.drawing import neighbors as neighbors
from zoo.drawing import reconstruct as reconstruct
from zoo.drawing import sample as sample
from zoo.energies import denoise as denoise
from zoo.energies import energy as energy
from zoo.energies import inpaint as inpaint
from zoo.evaluation.density.run import density as density
from zoo.evaluation.measure import evaluate as evaluate
from zoo.filling import fill_mask as fill_mask
from zoo.loading import from_pretrained as from_pretrained
from zoo.loading import load_image_processor as load_image_processor
from zoo.models.images.configuration_ae import AEConfig as AEConfig
from zoo.models.images.configuration_classifier import ClassifierConfig as ClassifierConfig
from zoo.models.images.configuration_dde import DDEConfig as DDEConfig
from zoo.models.images.configuration_eae import EAEConfig as EAEConfig
from zoo.models.images.configuration_infomax import InfoMaxConfig as InfoMaxConfig
from zoo.models.images.configuration_iwae import IWAEConfig as IWAEConfig
from zoo.models.images.configuration_mdsm import MDSMConfig as MDSMConfig
from zoo.models.images.configuration_vae import VAEConfig as VAEConfig
from zoo.models.images.image_processing_genae import GenaeImageProcessor as GenaeImageProcessor
from zoo.models.images.modeling_ae import AEModel as AEModel
from zoo.models.images.modeling_classifier import ClassifierModel as ClassifierModel
from zoo.models.images.modeling_dde import DDEModel as DDEModel
from zoo.models.images.modeling_eae import EAEModel as EAEModel
from zoo.models.images.modeling_infomax import InfoMaxModel as InfoMaxModel
from zoo.models.images.modeling_iwae import IWAEModel as IWAEModel
from zoo.models.images.modeling_mdsm import MDSMModel as MDSMModel
from zoo.models.images.modeling_vae import VAEModel as VAEModel
from zoo.models.text.configuration_synthesizer import SynthesizerConfig as SynthesizerConfig
from zoo.models.text.modeling_synthesizer import SynthesizerForCausalLM as SynthesizerForCausalLM
from zoo.models.text.modeling_synthesizer import SynthesizerForMaskedLM as SynthesizerForMaskedLM
from zoo.models.text.modeling_synthesizer import (
    SynthesizerForSequenceClassification as SynthesizerForSequenceClassification,
)
from zoo.models.text.modeling_synthesizer import (
    SynthesizerForTokenClassification as SynthesizerForTokenClassification,
)
from zoo.models.text.modeling_synthesizer import SynthesizerModel as SynthesizerModel
from zoo.registry import list_models as list_models
from zoo.registry import load_card as load_card
from zoo.registry import pull as pull
from zoo.registry import push as push
from zoo.registry import verify as verify
from zoo.version import __version__ as __version__
