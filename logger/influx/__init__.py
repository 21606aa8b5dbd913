"""HTTP with InfluxDB: one write, one outcome; one query, its rows."""
