"""Tests. A package, so that test files of one name can live in different folders."""
