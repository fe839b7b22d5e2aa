"""Which market a symbol belongs to, told from its spelling alone.

The answer is `ALWAYS`, `CURRENCIES`, the name of an exchange calendar, or None where nothing is known of the hours:
better not to judge a silence than to raise an alarm every evening. The spellings are those that data providers use:

- pairs: `EUR/USD`, `BTC-USD`, `EUR_USD`, `EURUSD`, `BTCUSDT`
- a ticker with its exchange: `RY:TSX`, `BT.A:XLON`, `NYSE:IBM`; a pair with its venue: `BTC/USD:Huobi`, `OANDA:EUR_USD`
- a ticker with a country's suffix: `VOD.L`, `RY.TO`, `SHOP.TRT`
- a bare ticker, of the provider's home market
"""

from __future__ import annotations

import re
from types import MappingProxyType

from pricestreamd.model.tick import symbol_key
from pricestreamd.providers.profile import Profile

ALWAYS = "always"
CURRENCIES = "currencies"

# ISO 4217, the yuan as it trades abroad, and the four metals that trade like currencies.
_CODES = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
    CHF CLF CLP CNH CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ
    GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD
    LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP
    PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND
    TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG XAU XAG XPT XPD
"""
_MONEY = frozenset(_CODES.split())
# What crypto is quoted in, besides money.
_COINS = frozenset({"USDT", "USDC", "FDUSD", "BUSD", "TUSD", "DAI", "BTC", "XBT", "ETH", "BNB"})

_PAIR = re.compile(r"([A-Z0-9.]{1,20})([/_-])([A-Z0-9]{1,10})")
_GLUED = re.compile(r"[A-Z0-9]{2,15}(?:USDT|USDC|FDUSD|BUSD|TUSD)")
# After the slash of `BRK/B`, `BAC/PRL`, `XYZ/WS` stands a class of shares.
_SHARES = re.compile(r"[A-Z]{1,2}|PR[A-Z]|WS[A-Z]")
_SUFFIXED = re.compile(r"(.+)\.([A-Z]{1,3})")

# Names of exchanges, as providers spell them, and their market identifier codes.
_EXCHANGES = MappingProxyType(
    {
        **dict.fromkeys(("XNYS", "NYSE", "ARCX", "ARCA", "NYSEARCA", "XASE", "AMEX", "BATS", "IEXG"), "XNYS"),
        **dict.fromkeys(("OTC", "OOTC", "PINX", "OTCM", "OTCQX", "OTCQB"), "XNYS"),
        **dict.fromkeys(("XNAS", "NASDAQ", "XNGS", "XNMS", "XNCM"), "XNAS"),
        **dict.fromkeys(("XTSE", "TSX", "XTSX", "TSXV", "NEO", "NEOE"), "XTSE"),
        **dict.fromkeys(("XLON", "LSE"), "XLON"),
        **dict.fromkeys(("XDUB", "XMSM", "ISE"), "XDUB"),
        **dict.fromkeys(("XETR", "XETRA"), "XETR"),
        **dict.fromkeys(("XFRA", "FSX", "FWB"), "XFRA"),
        **dict.fromkeys(("XPAR", "EURONEXT"), "XPAR"),
        "XAMS": "XAMS",
        "XBRU": "XBRU",
        "XLIS": "XLIS",
        **dict.fromkeys(("XMIL", "MTAA", "MTA"), "XMIL"),
        **dict.fromkeys(("XMAD", "XMCE", "BME"), "XMAD"),
        **dict.fromkeys(("XSWX", "SIX"), "XSWX"),
        **dict.fromkeys(("XWBO", "VSE"), "XWBO"),
        **dict.fromkeys(("XWAR", "GPW"), "XWAR"),
        **dict.fromkeys(("XSTO", "OMX", "OMXS"), "XSTO"),
        **dict.fromkeys(("XHEL", "OMXH"), "XHEL"),
        **dict.fromkeys(("XCSE", "OMXC"), "XCSE"),
        **dict.fromkeys(("XOSL", "OSE"), "XOSL"),
        **dict.fromkeys(("XTKS", "XJPX", "JPX"), "XTKS"),
        **dict.fromkeys(("XHKG", "HKEX"), "XHKG"),
        **dict.fromkeys(("XASX", "ASX"), "XASX"),
    }
)
_NAMES = """
    BINANCE BINANCEUS BITFINEX BITGET BITHUMB BITMEX BITSTAMP BITTREX BYBIT COINBASE DERIBIT GATEIO GEMINI
    HITBTC HUOBI KRAKEN KUCOIN MEXC OKEX OKX POLONIEX UPBIT
"""
_CRYPTO_VENUES = frozenset(_NAMES.split())
# They offer shares and indices too, at hours of their own.
_CURRENCY_VENUES = frozenset({"FOREX", "FX", "FXCM", "FXPRO", "IC MARKETS", "OANDA", "PEPPERSTONE", "SAXO"})

# None: an exchange that there is no calendar of. What is not here is a class of shares: BRK.B, XYZ.WS.
_SUFFIXES = MappingProxyType(
    {
        **dict.fromkeys(("TO", "V", "NE", "TRT", "TRV"), "XTSE"),
        **dict.fromkeys(("L", "LON"), "XLON"),
        **dict.fromkeys(("DE", "DEX"), "XETR"),
        **dict.fromkeys(("F", "FRK"), "XFRA"),
        **dict.fromkeys(("PA", "PAR"), "XPAR"),
        **dict.fromkeys(("AS", "AMS"), "XAMS"),
        **dict.fromkeys(("BR", "BRU"), "XBRU"),
        **dict.fromkeys(("LS", "LIS"), "XLIS"),
        **dict.fromkeys(("MI", "MIL"), "XMIL"),
        "MC": "XMAD",
        "SW": "XSWX",
        "VI": "XWBO",
        "WA": "XWAR",
        "ST": "XSTO",
        "HE": "XHEL",
        "CO": "XCSE",
        "OL": "XOSL",
        "IR": "XDUB",
        "T": "XTKS",
        "HK": "XHKG",
        "AX": "XASX",
        **dict.fromkeys(("NS", "BO", "BSE", "SS", "SHH", "SZ", "SHZ", "KS", "KQ", "TW", "TWO", "SI", "SA", "MX"), None),
        **dict.fromkeys(("NZ", "JO", "JK", "KL", "BK", "IS", "TA", "SR", "BA", "SN", "AT", "BD", "IC", "SAO"), None),
    }
)


def market_of(symbol: str, profile: Profile) -> str | None:
    """`ALWAYS`, `CURRENCIES`, the name of a calendar (not necessarily one that is shipped), or None if unknown."""
    if profile.instruments == "crypto":
        return ALWAYS
    text = symbol_key(symbol)
    if ":" in text:
        return _with_venue(*text.rsplit(":", 1))
    if market := _pair(text):
        return market
    suffixed = _SUFFIXED.fullmatch(text)
    if suffixed is not None and suffixed[2] in _SUFFIXES:
        return _SUFFIXES[suffixed[2]]
    return profile.home_calendar


def calendar_of(exchange: str) -> str | None:
    """The name of the calendar of an exchange, by any of its names."""
    return _EXCHANGES.get(symbol_key(exchange))


def _with_venue(left: str, right: str) -> str | None:
    """What `left:right` is. The venue stands on the right in some spellings, on the left in others."""
    if right in _EXCHANGES:
        return _EXCHANGES[right]
    for venue, instrument in ((right, left), (left, right)):
        if venue in _CURRENCY_VENUES:
            return CURRENCIES if _pair(instrument) == CURRENCIES else None
        if venue in _CRYPTO_VENUES:
            return ALWAYS
    return _pair(left) or _pair(right) or _EXCHANGES.get(left)


def _pair(text: str) -> str | None:
    """What a pair is; None for what is no pair."""
    if len(text) == 6 and text[:3] in _MONEY and text[3:] in _MONEY:
        return CURRENCIES
    pair = _PAIR.fullmatch(text)
    if pair is None:
        return ALWAYS if _GLUED.fullmatch(text) else None
    base, separator, quote = pair.groups()
    if base in _MONEY and quote in _MONEY:
        return CURRENCIES
    if quote in _MONEY or quote in _COINS:
        return ALWAYS
    # Hyphens and underscores stand in tickers too.
    return ALWAYS if separator == "/" and not _SHARES.fullmatch(quote) else None
