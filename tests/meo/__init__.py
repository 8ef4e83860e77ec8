"""Tests of the orchestrator of applications."""
