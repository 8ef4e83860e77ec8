"""Shortages of resources."""

from __future__ import annotations

from skerry.model.quotas import Shortage
from skerry.store.documents import Collection

shortages = Collection("quota_shortages", Shortage, "shortage", {"vim": lambda doc: doc.vim})
