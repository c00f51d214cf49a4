"""Which tiles a command works on: by place, by state, by age."""
