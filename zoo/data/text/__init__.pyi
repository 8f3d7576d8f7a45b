from zoo.data.text.labels import find_labels as find_labels
from zoo.data.text.loading import load_texts as load_texts
from zoo.data.text.options import TextOptions as TextOptions
from zoo.data.text.tasks import TASKS as TASKS
from zoo.data.text.tasks import Task as Task
from zoo.data.text.training_tokenizers import KINDS as KINDS
from zoo.data.text.training_tokenizers import Texts as Texts
from zoo.data.text.training_tokenizers import train_tokenizer as train_tokenizer
