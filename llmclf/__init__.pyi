from llmclf.classifiers.loading import load_classifier as load_classifier
from llmclf.config import load_task as load_task
from llmclf.data.loading import load_dataset as load_dataset
from llmclf.errors import LlmclfError as LlmclfError
from llmclf.llm.runtime import Runtime as Runtime
from llmclf.types import (
    Attachment as Attachment,
)
from llmclf.types import (
    Conversation as Conversation,
)
from llmclf.types import (
    Costs as Costs,
)
from llmclf.types import (
    Dataset as Dataset,
)
from llmclf.types import (
    Design as Design,
)
from llmclf.types import (
    Estimate as Estimate,
)
from llmclf.types import (
    Event as Event,
)
from llmclf.types import (
    Example as Example,
)
from llmclf.types import (
    Item as Item,
)
from llmclf.types import (
    Label as Label,
)
from llmclf.types import (
    Prediction as Prediction,
)
from llmclf.types import (
    Predictions as Predictions,
)
from llmclf.types import (
    Task as Task,
)
from llmclf.types import (
    Turn as Turn,
)
from llmclf.workspace.verbs import classify as classify
from llmclf.workspace.verbs import evaluate as evaluate
from llmclf.workspace.verbs import sweep as sweep
from llmclf.workspace.verbs import train as train

__version__: str
