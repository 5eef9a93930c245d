"""A cuff by its profile; A&D's are asked for all stored records first."""

from pathlib import Path

from drivers.and_store_dump import HOOKS
from drivers.gatt_meter import gatt_family

FAMILY = gatt_family("bls", Path(__file__).parent, HOOKS)
