"""Xiaomi Mi scales: weighings broadcast in adverts, without a connection."""
