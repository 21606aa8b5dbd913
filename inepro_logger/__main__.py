"""`python -m inepro_logger`: the same as the command `inepro-logger`."""

from inepro_logger import main

main()
