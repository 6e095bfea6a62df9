"""What tokens cost: agentgateway's model catalog, decimal strings in USD per million tokens."""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec

from gateway.egress.metering.usage import Usage
from lifecycle.strict import NotUnderstood, convert

_MILLION = Decimal(1_000_000)


class _Form(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    pass


class RatesForm(_Form, frozen=True, kw_only=True):
    input: str = "0"
    output: str = "0"
    cache_read: str | None = None
    cache_write: str | None = None
    reasoning: str | None = None
    input_audio: str | None = None
    output_audio: str | None = None


class TierForm(_Form, frozen=True, kw_only=True):
    context_over: int
    rates: RatesForm


class ModelForm(_Form, frozen=True, kw_only=True):
    rates: RatesForm
    tiers: tuple[TierForm, ...] = ()


class ProviderForm(_Form, frozen=True, kw_only=True):
    models: dict[str, ModelForm]


class CatalogForm(_Form, frozen=True, kw_only=True):
    providers: dict[str, ProviderForm]


class Prices:
    def __init__(self, *catalogs: CatalogForm) -> None:
        self._catalogs = catalogs

    def __repr__(self) -> str:
        counts = [len(p.models) for each in self._catalogs for p in each.providers.values()]
        return f"<Prices of {sum(counts)} models>"

    def _model(self, provider: str, name: str) -> ModelForm | None:
        for each in self._catalogs:
            known = each.providers.get(provider)
            if known is not None:
                found = known.models.get(name) or _by_prefix(known.models, name)
                if found is not None:
                    return found
        return None

    def cost(self, provider: str, usage: Usage) -> Decimal | None:
        """None where the model has no price."""
        model = self._model(provider, usage.model)
        if model is None:
            return None
        rates = model.rates
        for tier in sorted(model.tiers, key=lambda each: each.context_over):
            if usage.input > tier.context_over:
                rates = tier.rates
        fresh = max(0, usage.input - usage.cache_read - usage.cache_write)
        spoken = max(0, usage.output - usage.reasoning)
        into, out = Decimal(rates.input), Decimal(rates.output)
        return (
            fresh * into
            + usage.cache_read * _or(rates.cache_read, into)
            + usage.cache_write * _or(rates.cache_write, into)
            + spoken * out
            + usage.reasoning * _or(rates.reasoning, out)
        ) / _MILLION


def _or(rate: str | None, default: Decimal) -> Decimal:
    return default if rate is None else Decimal(rate)


def _by_prefix(models: dict[str, ModelForm], name: str) -> ModelForm | None:
    """`gpt-5-2026-01-01` is `gpt-5`, dated; the longest name wins."""
    found = [each for each in models if name.startswith(f"{each}-")]
    return models[max(found, key=len)] if found else None


NO_PRICES = Prices()


def read_prices(sources: Iterable[Path | bytes]) -> Prices:
    """Raises OSError, ValueError."""
    return Prices(*(_read(each) for each in sources))


def _read(source: Path | bytes) -> CatalogForm:
    where = source if isinstance(source, Path) else "config.modelCatalog"
    text = source.read_bytes() if isinstance(source, Path) else source
    try:
        catalog = convert(msgspec.json.decode(text), CatalogForm)
        for provider in catalog.providers.values():
            for model in provider.models.values():
                for rates in (model.rates, *(tier.rates for tier in model.tiers)):
                    _check(rates)
    except (msgspec.DecodeError, NotUnderstood, InvalidOperation) as error:
        raise ValueError(f"{where}: no model catalog: {error}") from error
    return catalog


def _check(rates: RatesForm) -> None:
    for name in RatesForm.__struct_fields__:
        text = getattr(rates, name)
        if text is not None and not Decimal(text).is_finite():
            raise NotUnderstood(name, "is no price")
