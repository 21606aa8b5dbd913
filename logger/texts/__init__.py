"""What may be shown: text from outside made harmless, secrets masked.

All that comes in from servers, meters and files is cleaned and cut by `one_line` before
it is kept; all that goes out (log, errors, standard output, `status`, metrics) passes
`printable`, `shown` or the streams of `guard`, which mask every secret known by value.
"""

from logger.texts.clean import clean
from logger.texts.safe import guard, one_line, printable, shown
from logger.texts.secrets import keep, keep_environment, keep_login, mask

__all__ = [
    "clean",
    "guard",
    "keep",
    "keep_environment",
    "keep_login",
    "mask",
    "one_line",
    "printable",
    "shown",
]
