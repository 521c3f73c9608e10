"""Makes the small model files beside this script.

    pip install -r tests/weights/requirements.txt
    python tests/weights/generate.py

`block.npz` and `block.safetensors` hold the same block, a depthwise and a pointwise layer, and an
ordinary convolution: the first in the order of Keras, the second in that of PyTorch. The values are
multiples of 1/8, one for each place, so that a swapped axis cannot go unseen. The rest are arrays
that must be refused, or read in another way.
"""

import pathlib
import zipfile

import numpy as np
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent


def ramp(shape, start=0):
    """Different values at all places."""
    count = int(np.prod(shape))
    return ((np.arange(start, start + count) - count // 2) / 8).astype(np.float32).reshape(shape)


depthwise = ramp((3, 2, 3, 1))
pointwise = ramp((1, 1, 3, 4), 5)
conv = ramp((2, 3, 3, 5), 9)
keras = {
    "depthwise/kernel": depthwise,
    "depthwise/bias": ramp((3,)),
    "pointwise/kernel": pointwise,
    "pointwise/bias": ramp((4,)),
    "conv/kernel": conv,
    # The matrix of a dense layer.
    "dense/kernel": pointwise[0, 0],
    # In the other order in memory.
    "fortran/kernel": np.asfortranarray(conv),
    "double/kernel": np.ones((1, 1, 3, 4)),
    "big-endian/kernel": pointwise.astype(">f4"),
    "counts": np.arange(3),
}
pytorch = {
    "depthwise.weight": depthwise.transpose(2, 3, 0, 1),
    "depthwise.bias": keras["depthwise/bias"],
    "pointwise.weight": pointwise.transpose(3, 2, 0, 1),
    "pointwise.bias": keras["pointwise/bias"],
    "conv.weight": conv.transpose(3, 2, 0, 1),
    "dense.weight": pointwise[0, 0].T,
    "half.weight": pointwise.transpose(3, 2, 0, 1).astype(np.float16),
}
pytorch = {name: np.ascontiguousarray(array) for name, array in pytorch.items()}

np.savez(HERE / "block.npz", **keras)
np.savez_compressed(HERE / "block-compressed.npz", **keras)
save_file(pytorch, HERE / "block.safetensors")

# Headers that promise more than there is: more than memory holds, and more than can be counted.
with zipfile.ZipFile(HERE / "promises.npz", "w") as archive:
    for name, shape in (("much", "(1099511627776, 3)"), ("most", "(9223372036854775807, 9)")):
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
        header = header.ljust(117) + "\n"
        magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
        info = zipfile.ZipInfo(f"{name}.npy")
        archive.writestr(info, magic + header.encode() + bytes(16))
