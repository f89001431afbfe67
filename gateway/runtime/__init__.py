"""The async middle: one lane per route, supervised; knows the world only through ports."""
