"""Where commands will run: the sandboxes, and the gateway to the subject."""
