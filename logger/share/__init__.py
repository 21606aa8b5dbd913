"""What other masters read through the logger, who has the line: all of it off by default.

It promises: the log's own turns go first and none is missed for a client; an answer is what a
meter sent within the allowed age, or an exception, never an old value; nothing is written to a
meter unless the configuration names who may; whatever clients do is bounded.

    modbus           the server: listens, answers, says what it is asked (its own thread)
    place, peer      where it listens; one client
    framing, pdu     bytes to requests and answers back
    units            which unit identifier is answered by what
    meterunit, words the registers of a meter itself, from the words that it sent
    demand, budget   questions to a line for clients: behind the log's, equal ones once
    writing          what a client may write
    newest, complete the newest values of a meter or a sum of meters
    pro380, sunspec  those values as the registers of a PRO380 or of SunSpec
    offers, paste    what others have to be told: sections to paste into their configuration

Other outputs (a broker, a page) have rooms of their own; what they need of a meter's newest
values is `newest` and `complete`.
"""
