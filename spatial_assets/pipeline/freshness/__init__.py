"""Which tiles no longer match their inputs, and which are overdue."""
