"""Catalogues: folders, static catalogues, GeoParquet and STAC APIs, and the search over them."""
