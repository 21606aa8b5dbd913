"""Derived values: stages between readings and points. They query nothing."""
