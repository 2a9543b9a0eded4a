"""List prices and token estimates, offline; it does not know what anybody was really billed."""

from stepdown.adapters.prices.book import Book, Unpriced, tier_price
from stepdown.adapters.prices.listed import Processing, listed_rates, price_of
from stepdown.adapters.prices.tokens import ESTIMATE_METHOD, estimate_tokens

__all__ = [
    "ESTIMATE_METHOD",
    "Book",
    "Processing",
    "Unpriced",
    "estimate_tokens",
    "listed_rates",
    "price_of",
    "tier_price",
]
