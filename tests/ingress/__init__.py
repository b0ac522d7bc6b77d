"""The ingress, by real HTTP and a real broker."""
