"""Processors for video sites that publish their lists as JSON-LD; the entry points name what is here."""

from typing import Final

from crawl_videos.parameters import ChannelScrape, KeywordSearch, TrendingScrape
from crawl_videos.scrapes import channel, search, trending
from crawl_worker.processors.custom import CustomProcessor

channel_scrape: Final = CustomProcessor(
    ChannelScrape,
    channel,
    examples=({"channel_url": "https://videos.example.org/channels/tools", "top_n": 20, "max_age_days": 30},),
)
trending_scrape: Final = CustomProcessor(TrendingScrape, trending, examples=({"country": "DE", "category": "music"},))
keyword_search: Final = CustomProcessor(
    KeywordSearch, search, examples=({"query": "steel ruler", "date_filter": "week", "sort_by": "views"},)
)
