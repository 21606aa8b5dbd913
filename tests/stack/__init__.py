"""The stack with a real engine: the image that the Dockerfile makes, and what compose starts.

`engine` has Docker, `base` the image that the project's is built on, `project` the
containers of docker-compose.yml, `standin` is what runs in place of InfluxDB 2.
"""
