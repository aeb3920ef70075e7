"""Benchmarks: what a Sandbox costs against a bare Pod of the same image, in one run."""
