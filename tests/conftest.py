"""What all tests share: property tests that a busy machine cannot fail."""

from hypothesis import HealthCheck, settings

SLOWNESS = [HealthCheck.too_slow, HealthCheck.data_too_large]

# A run says the same each time; --hypothesis-profile=search looks for what is not known yet.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=SLOWNESS
)
settings.register_profile(
    "search", deadline=None, max_examples=20_000, suppress_health_check=SLOWNESS
)
settings.load_profile("repeatable")
