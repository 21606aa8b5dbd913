"""What all rooms share: data model, limits, balance, wiring, errors. Pure; imports only `texts`."""
