"""Makes the golden values of the layers: results of Keras on TensorFlow, and of ONNX Runtime.

    pip install -r tests/golden/layers-requirements.txt
    python tests/golden/layers.py

writes layers.json beside this script. Weights and images are whole numbers, drawn by a small
generator that the test repeats, so that the file holds only their seeds. Sums are then whole
numbers too, which `f32` holds exactly, in whatever order they are added: the results must agree to
the last bit, and those of both libraries with each other. Of large results the file holds what a
few weighted sums make of them, and every sample of the first and the last pixel.

Keras covers strides, both paddings and multipliers (it takes either a stride or a dilation above
1); ONNX Runtime covers unequal strides, both together, explicit padding, and PyTorch's order of
weights.
"""

import json
import os
import pathlib

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import helper  # noqa: E402

HERE = pathlib.Path(__file__).parent


def draw(count, seed, most):
    """Whole numbers from -most to most: the high bits of a linear congruential generator."""
    values, state = [], seed
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        values.append((state >> 33) % (2 * most + 1) - most)
    return np.array(values, dtype=np.float32)


def array(shape, seed, most):
    return draw(int(np.prod(shape)), seed, most).reshape(shape)


def digest(result):
    """The first and the last pixel, and sums that no change of value, place or shape leaves alone."""
    flat = result.astype(np.float64).ravel()
    index = np.arange(flat.size)
    sums = [float((flat * (index % period + 1)).sum()) for period in (1, 7, 64, 8191)]
    assert all(abs(s) < 2**53 for s in sums)
    pixels = [[float(v) for v in result[0, y, x]] for y, x in ((0, 0), (-1, -1))]
    return {"shape": list(result.shape[1:]), "sums": sums, "pixels": pixels}


CASES = []


def record(case, result):
    assert np.all(result == np.round(result)) and np.abs(result).max() < 2**24
    CASES.append({**case, **digest(result)})
    print(len(CASES), case, result.shape)


def keras_cases():
    seed = 1
    for channels in (1, 3, 4, 17, 32, 130):
        for size, stride, dilation, multiplier in (
            ((3, 3), 1, 1, 1),
            ((3, 3), 2, 1, 1),
            ((5, 5), 1, 1, 2),
            ((2, 4), 3, 1, 3),
            ((3, 2), 1, 2, 1),
            ((4, 4), 2, 1, 2),
        ):
            for padding in ("valid", "same"):
                for width, height in ((12, 12), (13, 11)):
                    seed += 1
                    outputs = 5 + seed % 30
                    case = dict(
                        width=width,
                        height=height,
                        channels=channels,
                        kernel=size,
                        stride=[stride, stride],
                        dilation=[dilation, dilation],
                        padding=padding,
                        multiplier=multiplier,
                        outputs=outputs,
                        seed=seed,
                        order="keras",
                    )
                    image = array((1, height, width, channels), seed, 8)
                    depthwise = array((*size, channels, multiplier), seed + 1000, 4)
                    pointwise = array((1, 1, channels * multiplier, outputs), seed + 2000, 4)
                    ordinary = array((*size, channels, outputs), seed + 3000, 4)
                    common = dict(padding=padding, use_bias=False)
                    image = keras.ops.convert_to_tensor(image)
                    steps = dict(strides=stride, dilation_rate=dilation)

                    layer = keras.layers.DepthwiseConv2D(
                        size, depth_multiplier=multiplier, **steps, **common
                    )
                    layer.build(image.shape)
                    layer.set_weights([depthwise])
                    record({"layer": "depthwise", **case}, np.array(layer(image)))

                    layer = keras.layers.SeparableConv2D(
                        outputs, size, depth_multiplier=multiplier, **steps, **common
                    )
                    layer.build(image.shape)
                    layer.set_weights([depthwise, pointwise])
                    record({"layer": "separable", **case}, np.array(layer(image)))

                    layer = keras.layers.Conv2D(outputs, size, **steps, **common)
                    layer.build(image.shape)
                    layer.set_weights([ordinary])
                    record({"layer": "conv2d", **case}, np.array(layer(image)))


def onnx_conv(image, weights, stride, dilation, pads, groups):
    """NHWC in and out; weights in PyTorch's order; `pads` are left, right, top, bottom."""
    tensor = onnx.TensorProto.FLOAT
    left, right, top, bottom = pads
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        group=groups,
        strides=[stride[1], stride[0]],
        dilations=[dilation[1], dilation[0]],
        pads=[top, left, bottom, right],
        kernel_shape=list(weights.shape[2:]),
    )
    graph = helper.make_graph(
        [node],
        "conv",
        [
            helper.make_tensor_value_info("x", tensor, [None] * 4),
            helper.make_tensor_value_info("w", tensor, list(weights.shape)),
        ],
        [helper.make_tensor_value_info("y", tensor, [None] * 4)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    planar = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
    return session.run(None, {"x": planar, "w": weights})[0].transpose(0, 2, 3, 1)


def onnx_cases():
    seed = 10_000
    for channels in (1, 3, 4, 17, 32, 130):
        for size, stride, dilation, pads, multiplier in (
            ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 1),
            ((3, 3), (2, 1), (1, 2), (1, 0, 2, 3), 1),
            ((2, 5), (1, 3), (2, 1), (0, 0, 0, 0), 2),
            ((4, 3), (2, 2), (2, 2), (3, 4, 2, 1), 3),
        ):
            for width, height in ((14, 12), (11, 13)):
                seed += 1
                outputs = 5 + seed % 30
                case = dict(
                    width=width,
                    height=height,
                    channels=channels,
                    kernel=size,
                    stride=stride,
                    dilation=dilation,
                    padding=pads,
                    multiplier=multiplier,
                    outputs=outputs,
                    seed=seed,
                    order="pytorch",
                )
                image = array((1, height, width, channels), seed, 8)
                depthwise = array((channels * multiplier, 1, *size), seed + 1000, 4)
                pointwise = array((outputs, channels * multiplier, 1, 1), seed + 2000, 4)
                ordinary = array((outputs, channels, *size), seed + 3000, 4)

                between = onnx_conv(image, depthwise, stride, dilation, pads, channels)
                record({"layer": "depthwise", **case}, between)
                one = (1, 1)
                both = onnx_conv(between, pointwise, one, one, (0, 0, 0, 0), 1)
                record({"layer": "separable", **case}, both)
                whole = onnx_conv(image, ordinary, stride, dilation, pads, 1)
                record({"layer": "conv2d", **case}, whole)


def main():
    keras_cases()
    onnx_cases()
    versions = {
        "keras": keras.__version__,
        "tensorflow": __import__("tensorflow").__version__,
        "onnxruntime": onnxruntime.__version__,
    }
    lines = ",\n".join(json.dumps(case, separators=(",", ":")).replace(".0", "") for case in CASES)
    head = json.dumps(versions)
    (HERE / "layers.json").write_text(f'{{"versions":{head},"cases":[\n{lines}\n]}}\n')


main()
