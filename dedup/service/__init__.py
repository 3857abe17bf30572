"""The HTTP service in front of banks: `dedup serve`. An optional extra; nothing else imports it.

Start reading at `app.py`, which lists the routes; `running.py` starts the processes.
"""
