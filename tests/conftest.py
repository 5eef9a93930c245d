"""What every test shares."""

from hypothesis import HealthCheck, settings

import tests.kernel_cache  # noqa: F401  # before any test file reaches the kernels

# A deadline measures the machine, not the code: two shared cores under load made sound properties fail.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
