"""A scale by its profile; A&D's is asked for all stored weighings first."""

from pathlib import Path

from drivers.and_store_dump import HOOKS
from drivers.gatt_meter import gatt_family

FAMILY = gatt_family("wss", Path(__file__).parent, HOOKS)
