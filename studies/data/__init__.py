"""How fast data sets are indexed, cropped and read."""
