"""Durable files, locks and free space: every effect on the disk that is not git's or the database's."""
