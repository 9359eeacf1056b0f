"""Compiles the prompt of a classifier or a judge, by DSPy's optimizers, towards dollars at the true prevalence."""
