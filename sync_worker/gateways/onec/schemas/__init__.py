"""Shapes: the contract's JSON on one side, entities on the other. Pure; one file an entity."""
