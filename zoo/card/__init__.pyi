from zoo.card.card import CARD_FILE as CARD_FILE
from zoo.card.card import Card as Card
from zoo.card.card import Data as Data
from zoo.card.card import Result as Result
from zoo.card.card import is_within as is_within
from zoo.card.readme import render_readme as render_readme
from zoo.card.toml import dumps as dumps
