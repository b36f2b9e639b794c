"""Slack's method catalogue: tiers, scopes, required arguments and errors, from `methods.json`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

Tier = Literal["t1", "t2", "t3", "t4", "t5"]


class MethodSpec(BaseModel):
    """What Slack's reference says about one method. Tier `t5` is Slack's "special"; None is undocumented."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tier: Tier | None
    required: tuple[str, ...]
    optional: tuple[str, ...]
    scopes: frozenset[str]
    errors: frozenset[str]


class Catalog(BaseModel):
    """All methods by name; `common_errors` can come from each of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    common_errors: frozenset[str]
    methods: dict[str, MethodSpec]


def load_catalog() -> Catalog:
    """Read the catalogue that ships with the package."""
    return Catalog.model_validate_json(Path(__file__).with_name("methods.json").read_bytes())
