"""What is watched: the protocols, the registry, and one package per subject."""
