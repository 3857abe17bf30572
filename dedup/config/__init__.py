"""The configuration: frozen, validated once, unknown keys rejected with the nearest known one.

Stages get the part that concerns them; nothing below the pipeline reads a file or the environment
to learn a setting.
"""

from dedup.config.dataset import DatasetConfig, NamedSource, SourceConfig
from dedup.config.documents import read_yaml
from dedup.config.loading import build, keys, load
from dedup.config.names import ALGORITHMS, BITS, width_problem
from dedup.config.resolved import (
    AUTO_CAP_PER_64_BITS,
    AUTO_MAX_FALSE_PROBABILITY,
    AUTO_MIN_CLOSE_SIMILARITY,
    AUTO_MIN_SIMILARITY,
    AUTO_MIN_THUMBNAIL_SIMILARITY,
    LEAST_SIMILARITY,
    LIMITS,
    AcceptanceSpec,
    Resolved,
    acceptance_limits,
    resolve,
)
from dedup.config.sections import (
    LISTS,
    TOTAL,
    CacheConfig,
    Config,
    GateConfig,
    HashConfig,
    OutputConfig,
    VerifyConfig,
)
from dedup.config.splits import SPLIT_ALIASES, normal_split

__all__ = [
    "ALGORITHMS",
    "AUTO_CAP_PER_64_BITS",
    "AUTO_MAX_FALSE_PROBABILITY",
    "AUTO_MIN_CLOSE_SIMILARITY",
    "AUTO_MIN_SIMILARITY",
    "AUTO_MIN_THUMBNAIL_SIMILARITY",
    "BITS",
    "LEAST_SIMILARITY",
    "LIMITS",
    "LISTS",
    "SPLIT_ALIASES",
    "TOTAL",
    "AcceptanceSpec",
    "CacheConfig",
    "Config",
    "DatasetConfig",
    "GateConfig",
    "HashConfig",
    "NamedSource",
    "OutputConfig",
    "Resolved",
    "SourceConfig",
    "VerifyConfig",
    "acceptance_limits",
    "build",
    "keys",
    "load",
    "normal_split",
    "read_yaml",
    "resolve",
    "width_problem",
]
