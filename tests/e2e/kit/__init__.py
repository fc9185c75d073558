"""What runs in the pods of the agents' tests, from an image of its own, as package ``kit``.

There it is not below ``tests``, so its modules name each other relatively.
"""
