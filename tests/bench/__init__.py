"""What `make bench` measures: each figure with its spread, beside a floor from the same run."""
