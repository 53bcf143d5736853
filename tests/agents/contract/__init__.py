"""The promises of every adapter, tested with a scripted agent behind each.

An adapter joins by a module in `subjects/` that defines SUBJECTS: a tuple of `Subject`.
"""
