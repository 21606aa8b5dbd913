"""What other masters read through the logger, who has the line: all of it off by default.

It promises: the log's own turns go first and none is missed for a client; an answer is what a
meter sent within the allowed age, or an exception, never an old value; nothing is written to a
meter unless the configuration names who may; whatever clients do is bounded.

    modbus, build    the server: listens, knows its clients (its own thread)
    place, peer      where it listens; one client
    framing, pdu     bytes to requests and answers back
    answers          from a request to its answer
    units            which unit identifier is answered by what
    meterunit, words the registers of a meter itself, from the words that it sent
    demand, budget   questions to a line for clients: behind the log's, equal ones once
    writers, writing who may write, and what
    newest, source   the newest values of a meter or a sum of meters
    pro380, sunspec  those values as the registers of a PRO380 or of SunSpec
    offers           what there is to read, and where its values stand
    paste, evcc      sections for the configuration of others

What another output needs of the newest values is in `newest`; its section for others is one
more entry of `paste.FORMATS`.
"""
