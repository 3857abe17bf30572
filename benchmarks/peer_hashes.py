"""imagededup's hashes, for the interpreter of `make bench-peers`.

They need PyTorch for nothing but an import, so a stand-in is imported and not gigabytes.
"""

from typing import Final

IMAGEDEDUP: Final = """
import json, sys
from unittest.mock import MagicMock
# They ask what kind torch is, so before the stand-in.
import scipy.fftpack, scipy.stats, sklearn.metrics
names = ["torch", "torch.nn", "torch.utils", "torch.utils.data"]
names += ["torchvision", "torchvision.transforms", "torchvision.models"]
names += ["torchvision.models.vision_transformer"]
sys.modules.update({name: MagicMock() for name in names})
from imagededup.methods import DHash, PHash
for name in names:
    del sys.modules[name]
METHODS = {"DHash": DHash, "PHash": PHash}
"""
