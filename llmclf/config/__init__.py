"""Files a user writes: one strict model for each kind, found, read and checked in one place.

    files       find and read: where a name is looked up, every mistake of a file in one message
    mistakes    what is wrong with a file, in words
    parts       what those models share
    schemas     tasks, classifiers, datasets, sweeps: one model for each kind of file
    model_schemas  models, prices, plans, the rules of a workspace
    loading     files to the values the other parts use: Task, Dataset file, sweep, models

Lookup order for a name: the workspace, `$LLMCLF_HOME`, the copy inside the package. A path is a path.
"""

from llmclf.config.files import KINDS, Found, find, listing, load, packaged_root
from llmclf.config.loading import load_models, load_pace, load_plans, load_prices, load_task, load_workspace
from llmclf.config.model_schemas import (
    HttpRow,
    LocalRow,
    ModelRow,
    ModelsFile,
    PaceRow,
    PriceRow,
    PricesFile,
    Privacy,
    ProvisionedPlan,
    ReasonsTable,
    ReplayRow,
    SimRow,
    VendorRow,
    WeightsTable,
    WorkspaceFile,
)
from llmclf.config.optimization_schemas import OptimizationFile
from llmclf.config.parts import Media, Modality, Thinking
from llmclf.config.schemas import (
    ClassifierFile,
    DatasetFile,
    KeywordFile,
    LimitsTable,
    LlmFile,
    ProbeFile,
    SweepFile,
    TaskFile,
    ThresholdOrigin,
)

__all__ = [
    "KINDS",
    "ClassifierFile",
    "DatasetFile",
    "Found",
    "HttpRow",
    "KeywordFile",
    "LimitsTable",
    "LlmFile",
    "LocalRow",
    "Media",
    "Modality",
    "ModelRow",
    "ModelsFile",
    "OptimizationFile",
    "PaceRow",
    "PriceRow",
    "PricesFile",
    "Privacy",
    "ProbeFile",
    "ProvisionedPlan",
    "ReasonsTable",
    "ReplayRow",
    "SimRow",
    "SweepFile",
    "TaskFile",
    "ThresholdOrigin",
    "Thinking",
    "VendorRow",
    "WeightsTable",
    "WorkspaceFile",
    "find",
    "listing",
    "load",
    "load_models",
    "load_pace",
    "load_plans",
    "load_prices",
    "load_task",
    "load_workspace",
    "packaged_root",
]
