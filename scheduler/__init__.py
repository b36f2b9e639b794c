"""When things run: the checks of the subjects, their debounce, and the loop that starts them."""
