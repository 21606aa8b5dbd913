"""The running logger: wiring, schedule, supervision, status, logs."""
