"""The buffer file: its format, every change of it, damage and recovery. The only SQL.

It promises: a row is never changed without its books, both are one commit; a row that
fails its checksum is never sent; a damaged file is put aside under another name and never
deleted; a file of an older version is brought up to date by steps, each in a transaction.

    database   connections, transactions, what SQLite's errors mean (owns sqlite3)
    schema, row, rows, ledger, seal  what is in the file, and the checksums over it
    frames, journal, recent          commits beside the database, and reading them with it
    commits, fold, pack              how they go into it, many rows as one
    limits, parked, state            what leaves a full file, what waits for a time, how it is
    file, lock, medium               one owner, a full disk, a file that is gone
    check, verify, scrub, wal        finding damage
    recover, replaced, salvage       carrying over what can still be read
    query, tools                     commands, beside a running logger
    statefile                        small JSON files that survive a power cut

Rows and their states: waiting -> delivered or set aside; the order in which they leave is
that of `limits`. Errors are those of BufferFileError.
"""
