"""How long a caller waits for an actor that sleeps, by runtime class and by how deep it sleeps."""
