from llmclf.classifiers.loading import load_classifier as load_classifier
from llmclf.config import load_task as load_task
from llmclf.data.loading import load_dataset as load_dataset
from llmclf.errors import LlmclfError as LlmclfError
from llmclf.judges.loading import load_judge as load_judge
from llmclf.llm.runtime import Runtime as Runtime
from llmclf.reasons.clustering import cluster_reasons as cluster_reasons
from llmclf.types import (
    Attachment as Attachment,
    Case as Case,
    Conversation as Conversation,
    Costs as Costs,
    Dataset as Dataset,
    Design as Design,
    Estimate as Estimate,
    Event as Event,
    Example as Example,
    Item as Item,
    Label as Label,
    Prediction as Prediction,
    Predictions as Predictions,
    Task as Task,
    Turn as Turn,
)
from llmclf.workspace.comparing import compare as compare
from llmclf.workspace.judging import judge as judge
from llmclf.workspace.optimizing import optimize as optimize
from llmclf.workspace.session_reports import calibrate as calibrate
from llmclf.workspace.verbs import (
    classify as classify,
    evaluate as evaluate,
    record as record,
    sweep as sweep,
    train as train,
)

__version__: str
