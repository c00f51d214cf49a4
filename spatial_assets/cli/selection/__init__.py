"""Selection of tiles by location, state, age and change, and the status of tiles."""
