"""Cost of the product compared with common alternatives, measured in one run on one machine."""
