from tests.torch_state import fixed_seed, one_thread  # noqa: F401
