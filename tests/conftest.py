"""What every test shares."""

from hypothesis import HealthCheck, settings

# A deadline measures the machine, not the code: two shared cores under load made sound properties fail.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
