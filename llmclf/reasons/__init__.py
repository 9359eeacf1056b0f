"""Reasons to clusters, rates, novelty and anomalies."""
