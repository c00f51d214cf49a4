"""The move of a product's objects under new indices after the area or the time grew."""
