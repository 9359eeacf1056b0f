"""Files a user writes: one strict model for each kind, found, read and checked in one place.

    files       find and read: where a name is looked up, every mistake of a file in one message
    mistakes    what is wrong with a file, in words
    schemas     one model for each kind of file
    loading     files to the values the other parts use: Task, Dataset file, sweep, models

Lookup order for a name: the workspace, `$LLMCLF_HOME`, the copy inside the package. A path is a path.
"""

from llmclf.config.files import KINDS, Found, find, listing, load, packaged_root
from llmclf.config.loading import load_models, load_prices, load_task, load_workspace
from llmclf.config.schemas import (
    ClassifierFile,
    DatasetFile,
    KeywordFile,
    LlmFile,
    LocalRow,
    ModelRow,
    ModelsFile,
    PriceRow,
    PricesFile,
    Privacy,
    ProbeFile,
    SimRow,
    SweepFile,
    TaskFile,
    Thinking,
    VendorRow,
    WorkspaceFile,
)

__all__ = [
    "KINDS",
    "ClassifierFile",
    "DatasetFile",
    "Found",
    "KeywordFile",
    "LlmFile",
    "LocalRow",
    "ModelRow",
    "ModelsFile",
    "PriceRow",
    "PricesFile",
    "Privacy",
    "ProbeFile",
    "SimRow",
    "SweepFile",
    "TaskFile",
    "Thinking",
    "VendorRow",
    "WorkspaceFile",
    "find",
    "listing",
    "load",
    "load_models",
    "load_prices",
    "load_task",
    "load_workspace",
    "packaged_root",
]
