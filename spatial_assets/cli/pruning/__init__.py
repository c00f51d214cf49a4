"""Objects and rows that belong to no tile of the area, and their removal."""
