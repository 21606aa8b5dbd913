"""What all rooms share: data model, limits, balances, wiring, errors. Pure; imports only `texts`."""
