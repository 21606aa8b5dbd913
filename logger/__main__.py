"""`python -m logger`: the same as the command `inepro-logger`."""

from logger.cli import main

if __name__ == "__main__":
    main()
