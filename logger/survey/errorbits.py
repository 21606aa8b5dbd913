"""What the bits of the error code of an Ambition mean."""

# Ambition manual 1.05, 8.1, page 20: bits of the error code.
ERROR_BITS = (
    "energy data wrong in main and backup storage",
    "energy fraction cannot be stored",
    "energy backup cannot be stored",
    "energy main storage cannot be used",
    "error in the energy fraction",
    "error in the energy backup",
    "error in the main energy storage",
    "EEPROM cannot be initialised",
)
