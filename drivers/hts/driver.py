"""A thermometer by its profile; A&D's is asked for all stored readings first."""

from pathlib import Path

from drivers.and_store_dump import HOOKS
from drivers.gatt_meter import gatt_family

FAMILY = gatt_family("hts", Path(__file__).parent, HOOKS)
