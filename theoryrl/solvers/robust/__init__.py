"""Exact solvers of robust MDPs."""
