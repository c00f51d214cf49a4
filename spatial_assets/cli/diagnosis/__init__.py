"""What `check` asks, a module for each kind of opened that a run stands on."""
