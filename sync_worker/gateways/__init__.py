"""How the two systems are spoken to. Each gateway translates shapes and errors once, at its own edge."""
