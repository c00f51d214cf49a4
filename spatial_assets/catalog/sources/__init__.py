"""Sources of items: folders, static catalogues, GeoParquet files and STAC APIs."""
