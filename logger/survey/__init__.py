"""Looking at what is there: finding meters on a line, checking an installation."""
