"""The running logger: wiring, schedule, supervision, status, logs.

It promises: all parts are built before any is started; every thread that is to live as long
as the logger is watched, started again when it ended, and ends the process when it hangs; a
stop takes at most five seconds and leaves every reading committed.

    app, daemon      the parts and the life of the process
    before           what is known of a configuration before that
    schedule         when jobs run
    scheduler        APScheduler, loaded without what no job uses
    watch            the threads
    service, outputs what an output looks like to the app; those that the configuration has
    status, metrics, health, overview    what it says of itself
    logs, systemd    log lines; the service manager
"""
