"""imagededup's hashes, for the interpreter of `make bench-peers`.

They need PyTorch for nothing but an import, so a stand-in is imported and not gigabytes.
"""

from typing import Final

IMAGEDEDUP: Final = """
import json, sys
from unittest.mock import MagicMock
import scipy.fftpack, scipy.stats, sklearn.metrics  # they ask what kind torch is, so before the stand-in
names = ["torch", "torch.nn", "torch.utils", "torch.utils.data"]
names += ["torchvision", "torchvision.transforms", "torchvision.models", "torchvision.models.vision_transformer"]
sys.modules.update({name: MagicMock() for name in names})
from imagededup.methods import DHash, PHash
for name in names:
    del sys.modules[name]
METHODS = {"DHash": DHash, "PHash": PHash}
"""
