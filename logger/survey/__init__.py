"""Looking at what is there: finding meters on a line, checking an installation.

It promises: it only reads; each line of a check says what was looked at, what it is and, if
that is not right, what to do; an interrupted scan gives what it found until then.
"""
