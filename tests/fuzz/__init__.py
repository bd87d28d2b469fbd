"""Hostile and damaged input, made at random: every one ends in a result that another reader confirms, or in one of our
errors. `make fuzz` is the long campaign, `test_fuzz.py` a short slice of it."""
