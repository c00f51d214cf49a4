"""What `check` asks, a module for each kind of ground that a run stands on."""
