"""A Mi scale by its profile: told once for each weighing, whoever stands on it."""

from pathlib import Path

from drivers.advert_meter import advert_family

FAMILY = advert_family("mi_scale", Path(__file__).parent)
