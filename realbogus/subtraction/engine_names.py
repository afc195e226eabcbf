"""The names of the subtraction engines, known without importing one; `realbogus.subtraction.subtract` runs them."""

from typing import Literal

SubtractionEngine = Literal["alard-lupton", "zogy", "sfft", "precomputed"]
