"""What the product costs, beside what people do without it, in one run on one machine."""
