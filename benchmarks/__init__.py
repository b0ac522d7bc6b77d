"""What the parts cost, measured on this machine."""
