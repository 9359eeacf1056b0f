"""Sweeps: a grid of settings, each measured, on one surface of dollars, seconds and errors.

cells       the grid as cells; what a model can't honour is listed before anything is paid
inputs      what a sweep is about, and the hash over it
plan        calls, dollars and minutes as ranges, texts that would leave the machine; planned shows it
money       the cap over all executions of a sweep
run         every cell on every item, continued where it stopped; recording writes as it goes
stored      the surface from the store alone
measured    one cell with its evaluation and the limits it does not keep to
effort      what a thinking setting changed, and whether it does anything; families finds what to compare
choice      the cheapest cell, and whether that is decided
surface     the result as a whole; views shows it
report      one self-contained HTML file
"""

from llmclf.sweeps.cells import Cell, Skipped, expand
from llmclf.sweeps.choice import Choice
from llmclf.sweeps.effort import Effort
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.plan import plan, plan_items
from llmclf.sweeps.planned import Plan
from llmclf.sweeps.recording import Progress
from llmclf.sweeps.report import write_report
from llmclf.sweeps.run import SweepInterrupted, run
from llmclf.sweeps.stored import stored_surface
from llmclf.sweeps.surface import Surface

__all__ = [
    "Cell",
    "Choice",
    "Effort",
    "MeasuredCell",
    "Plan",
    "Progress",
    "Skipped",
    "Surface",
    "SweepInterrupted",
    "expand",
    "plan",
    "plan_items",
    "run",
    "stored_surface",
    "write_report",
]
