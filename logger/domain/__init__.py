"""What all rooms share: the data model, limits, balances, wiring, errors. Pure, imports only `texts`."""
