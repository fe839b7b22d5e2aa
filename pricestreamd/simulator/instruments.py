"""What can be traded in the simulated world: kinds, exchanges, currencies, and where a ticker is at home.

A few real names so that answers look like real ones; everything else is taken for a share on NASDAQ, and every
`BASE/QUOTE` for a pair. Facts only: how a provider writes them is its dialect's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["equity", "forex", "metal", "crypto"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A market place: its usual name, its market identifier code (ISO 10383), its country and currency."""

    name: str
    mic_code: str
    country: str
    currency: str


NASDAQ = Exchange("NASDAQ", "XNGS", "United States", "USD")
NYSE = Exchange("NYSE", "XNYS", "United States", "USD")
EXCHANGES = (
    NASDAQ,
    NYSE,
    Exchange("TSX", "XTSE", "Canada", "CAD"),
    Exchange("LSE", "XLON", "United Kingdom", "GBp"),
    Exchange("XETR", "XETR", "Germany", "EUR"),
    Exchange("Euronext", "XPAR", "France", "EUR"),
    Exchange("SIX", "XSWX", "Switzerland", "CHF"),
    Exchange("JPX", "XJPX", "Japan", "JPY"),
    Exchange("HKEX", "XHKG", "Hong Kong", "HKD"),
    Exchange("IDX", "XIDX", "Indonesia", "IDR"),
    Exchange("ASX", "XASX", "Australia", "AUD"),
)
_BY_WORD = {word.upper(): exchange for exchange in EXCHANGES for word in (exchange.name, exchange.mic_code)}
_BY_WORD["XNAS"] = NASDAQ

CRYPTO_VENUES = ("Coinbase Pro", "Binance", "Huobi", "Kraken", "Bitfinex")

# fmt: off
_AT_HOME_ON_NYSE = frozenset({
    "ABBV", "ABT", "ACN", "BA", "BAC", "BRK.A", "BRK.B", "C", "CAT", "CRM", "CVX", "DIS", "F", "GE", "GM", "GS", "HD",
    "IBM", "JNJ", "JPM", "KO", "LLY", "MA", "MCD", "MMM", "MRK", "MS", "NKE", "ORCL", "PFE", "PG", "RY", "SPY", "T",
    "UNH", "V", "VZ", "WFC", "WMT", "XOM",
})
# fmt: on
_CURRENCIES = {
    "AUD": "Australian Dollar",
    "BTC": "Bitcoin",
    "CAD": "Canadian Dollar",
    "CHF": "Swiss Franc",
    "CNY": "Chinese Yuan",
    "EUR": "Euro",
    "GBP": "British Pound",
    "HKD": "Hong Kong Dollar",
    "INR": "Indian Rupee",
    "JPY": "Japanese Yen",
    "MXN": "Mexican Peso",
    "NOK": "Norwegian Krone",
    "NZD": "New Zealand Dollar",
    "PLN": "Polish Zloty",
    "SEK": "Swedish Krona",
    "SGD": "Singapore Dollar",
    "TRY": "Turkish Lira",
    "USD": "US Dollar",
    "ZAR": "South African Rand",
}
_METALS = {
    "XAU": "Gold Spot",
    "XAG": "Silver Spot",
    "XPT": "Platinum Spot",
    "XPD": "Palladium Spot",
}
_COINS = {
    "ADA": "Cardano",
    "BCH": "Bitcoin Cash",
    "BNB": "Binance Coin",
    "BTC": "Bitcoin",
    "DOGE": "Dogecoin",
    "DOT": "Polkadot",
    "ETH": "Ethereum",
    "LINK": "Chainlink",
    "LTC": "Litecoin",
    "SOL": "Solana",
    "USDC": "USD Coin",
    "USDT": "Tether",
    "XLM": "Stellar",
    "XRP": "XRP",
}

_LONGEST_PAIR = 24
# The longer first: TRXBUSD is quoted in BUSD, not in USD.
_QUOTE_COINS = (
    "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "BTC", "ETH", "BNB", "EUR", "GBP", "TRY", "BRL", "AUD", "JPY", "DAI",
    "USD",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Instrument:
    """One thing with a price. `exchange` None: traded nowhere in particular. Pairs have long names of both sides."""

    ticker: str
    kind: Kind
    exchange: str | None = None
    mic_code: str | None = None
    country: str = ""
    currency: str = "USD"
    base_name: str = ""
    quote_name: str = ""


def find(ticker: str, place: str | None = None) -> Instrument:
    """The instrument `ticker` (upper case), on the market `place` (name or MIC, any case), or where it is at home."""
    base, slash, quote = ticker.partition("/")
    if slash:
        return _pair(ticker, base, quote, place)
    home = NYSE if ticker in _AT_HOME_ON_NYSE else NASDAQ
    exchange = home
    if place is not None:
        exchange = _BY_WORD.get(place.upper()) or Exchange(place.upper(), "", "", home.currency)
    return Instrument(ticker, "equity", exchange.name, exchange.mic_code or None, exchange.country, exchange.currency)


def _pair(ticker: str, base: str, quote: str, place: str | None) -> Instrument:
    quote_name = _CURRENCIES.get(quote) or _COINS.get(quote) or quote
    if base in _METALS:
        return Instrument(ticker, "metal", currency=quote, base_name=_METALS[base], quote_name=quote_name)
    if base in _COINS:
        venues = {venue.upper(): venue for venue in CRYPTO_VENUES}
        venue = CRYPTO_VENUES[0] if place is None else venues.get(place.upper(), place.upper())
        return Instrument(ticker, "crypto", venue, currency=quote, base_name=_COINS[base], quote_name=quote_name)
    return Instrument(ticker, "forex", currency=quote, base_name=_CURRENCIES.get(base, base), quote_name=quote_name)


def coin_pair(symbol: str) -> str | None:
    """`BTC/USDT`, `btcusdt` and `BTCUSDT` as the last; None for what is no pair of coins written so."""
    ticker = symbol.strip().upper().replace("/", "")
    return ticker if split_coin_pair(ticker) is not None else None


def split_coin_pair(ticker: str) -> tuple[str, str] | None:
    """`("BTC", "USDT")` of `BTCUSDT`; None for what is no pair of coins written so."""
    if not (ticker.isascii() and ticker.isalnum() and len(ticker) <= _LONGEST_PAIR):
        return None
    quote = next((coin for coin in _QUOTE_COINS if ticker.endswith(coin) and ticker != coin), None)
    return None if quote is None else (ticker.removesuffix(quote), quote)
