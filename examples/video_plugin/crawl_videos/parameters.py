"""What the processors are told: each model is a published schema, its docstrings are the descriptions."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Site = Annotated[str, Field(pattern=r"^https?://[^/]+$", max_length=200)]


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    top_n: Annotated[int, Field(ge=1, le=500)] = 10
    """Videos to tell at most."""


class ChannelScrape(_Parameters):
    """Tell the newest videos of a channel."""

    channel_url: Annotated[str, Field(pattern=r"^https?://", max_length=2000)]
    """The channel's page."""
    max_age_days: Annotated[int, Field(ge=1, le=36500)] | None = None
    """Leave older ones out; unset: none is too old."""


class Category(StrEnum):
    """What a video is about."""

    ALL = "all"
    GAMING = "gaming"
    MUSIC = "music"
    NEWS = "news"


class TrendingScrape(_Parameters):
    """Tell what is watched most in a country."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "US"
    """By its two letters."""
    category: Category = Category.ALL
    """What the videos are about."""
    site: Site = "https://videos.example.org"
    """The site to ask."""


class DateFilter(StrEnum):
    """How new a video must be."""

    ANY = "any"
    TODAY = "today"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class SortBy(StrEnum):
    """What comes first."""

    RELEVANCE = "relevance"
    DATE = "date"
    VIEWS = "views"


class KeywordSearch(_Parameters):
    """Tell what a search finds."""

    query: Annotated[str, Field(min_length=1, max_length=200)]
    """What to look for."""
    date_filter: DateFilter = DateFilter.ANY
    """How new a video must be."""
    sort_by: SortBy = SortBy.RELEVANCE
    """What comes first."""
    site: Site = "https://videos.example.org"
    """The site to ask."""
