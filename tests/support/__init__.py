"""What tests of every folder share; the fixtures that use it are in tests/conftest.py."""
