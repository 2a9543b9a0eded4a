"""List prices and token estimates, offline; it does not know what anybody was really billed."""

from stepdown.adapters.prices.listed import ListPrices, Processing, price_of
from stepdown.adapters.prices.tokens import ESTIMATE_METHOD, estimate_tokens

__all__ = ["ESTIMATE_METHOD", "ListPrices", "Processing", "estimate_tokens", "price_of"]
