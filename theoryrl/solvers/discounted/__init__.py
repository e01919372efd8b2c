"""Exact solvers of discounted MDPs."""
