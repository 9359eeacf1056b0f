"""Sweeps: a grid of settings, each measured, on one surface of dollars, seconds and errors.

cells       the grid as cells; what a model can't honour is listed before anything is paid
inputs      what a sweep is about, and the hash over it
plan        calls, dollars and minutes as ranges, texts that would leave the machine; planned shows it
money       the cap over all executions of a sweep
run         every cell on every item, continued where it stopped; recording writes as it goes
racing      a race over cells: asked in rounds, dropped once another one is shown to beat them
stored      the surface from the store alone
measured    one cell with its evaluation and the limits it does not keep to
parts       where its dollars go (token_dollars: the model's), and how often it gives no usable answer
answers     what cells answered, as arrays over the same items
effort      what a thinking setting changed, and whether it does anything; families finds what to compare
choice      the cheapest cell, and whether that is decided
tipping     how far prices may move before another cell is the cheapest
monthly     what a month costs at many times the volume, and the rate limits it would hit
surface     the result as a whole; views and small_tables show it, rows flattens it
report      one self-contained HTML file
written     a surface as a file: that page, JSON or CSV
"""

from llmclf.sweeps.cells import Cell, Skipped, expand
from llmclf.sweeps.choice import Ahead, Choice
from llmclf.sweeps.effort import Effort
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.monthly import Month, Months
from llmclf.sweeps.parts import Parts
from llmclf.sweeps.plan import plan, plan_items
from llmclf.sweeps.planned import Plan
from llmclf.sweeps.recording import Progress
from llmclf.sweeps.report import write_report
from llmclf.sweeps.run import SweepInterrupted, run
from llmclf.sweeps.stored import stored_surface
from llmclf.sweeps.surface import Surface
from llmclf.sweeps.tipping import TippingPrice
from llmclf.sweeps.token_dollars import TokenDollars
from llmclf.sweeps.written import write_surface

__all__ = [
    "Ahead",
    "Cell",
    "Choice",
    "Effort",
    "MeasuredCell",
    "Month",
    "Months",
    "Parts",
    "Plan",
    "Progress",
    "Skipped",
    "Surface",
    "SweepInterrupted",
    "TippingPrice",
    "TokenDollars",
    "expand",
    "plan",
    "plan_items",
    "run",
    "stored_surface",
    "write_report",
    "write_surface",
]
