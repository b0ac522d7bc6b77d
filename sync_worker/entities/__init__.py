"""Pure: what each record is, in the words of neither system, and how its fields travel."""
