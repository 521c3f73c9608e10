"""One process of the layers' board: runs all contestants on the rows that it reads from standard
input.

Every contestant has the same weights and the same image. Its first result is compared with the
definition; then all are timed in turn, round by round. Whatever makes models of them, and copies
into a peer's own memory, is not timed. Results go to standard output as lines of JSON.
"""

import gc
import json
import mmap
import os
import sys

# Libraries print what they like: that goes to standard error.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}

import numpy as np

from calls import Contestant, Library, aligned, copying, say, take_turns
from layers import all_rows

TYPES = {"u8": np.uint8, "f32": np.float32}


def weights_of(layers, dice):
    """For each layer weights in Keras order, and a bias; values keep their size through it."""
    for layer in layers:
        fan = layer.side**2 * (1 if layer.kind == "depthwise" else layer.inputs)
        most = (6 if layer.activation == "relu6" else 3) ** 0.5 / fan**0.5
        taps = dice.uniform(-most, most, layer.dims()).astype(np.float32)
        yield taps, dice.uniform(-0.2, 0.2, layer.outputs).astype(np.float32)


def saturation():
    """A usual colour matrix, with rows of sum 1 and negative weights, and no bias."""
    luma = np.array([0.2126, 0.7152, 0.0722])
    matrix = 1.3 * np.eye(3) - 0.3 * np.tile(luma, (3, 1))
    return matrix.astype(np.float32)


class OnnxRuntime:
    def __init__(self, threads):
        import onnxruntime

        self.library, self.threads = onnxruntime, threads
        self.version = onnxruntime.__version__

    def enter(self, model):
        options = self.library.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # Threads that wait for work must not take the core from the next contestant.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = self.library.InferenceSession(
            model.onnx(), options, providers=["CPUExecutionProvider"]
        )
        source, out = model.planar_source(), aligned(model.planar_shape(), np.float32)
        binding = session.io_binding()
        for bind, name, array in (
            (binding.bind_input, "x", source),
            (binding.bind_output, "y", out),
        ):
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        kept = (session, source, out)

        def call():
            kept[0].run_with_iobinding(binding)

        return call, lambda: out.transpose(0, 2, 3, 1)[0], ""


class OpenVino:
    def __init__(self, threads):
        import openvino

        self.library, self.threads = openvino, threads
        self.version = openvino.__version__

    def enter(self, model):
        core = self.library.Core()
        # Without the hint it computes in bf16 where the machine can.
        compiled = core.compile_model(
            core.read_model(model.onnx(), b""),
            "CPU",
            {
                "INFERENCE_NUM_THREADS": self.threads,
                "INFERENCE_PRECISION_HINT": "f32",
                "PERFORMANCE_HINT": "LATENCY",
            },
        )
        source, out = model.planar_source(), aligned(model.planar_shape(), np.float32)
        request = compiled.create_infer_request()
        request.set_input_tensor(self.library.Tensor(source, shared_memory=True))
        request.set_output_tensor(self.library.Tensor(out, shared_memory=True))
        kept = (core, compiled, source)

        def call():
            assert kept
            request.infer()

        return call, lambda: out.transpose(0, 2, 3, 1)[0], ""


class Keras:
    def __init__(self, threads):
        import keras
        import tensorflow

        self.keras, self.library = keras, tensorflow
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        self.version = f"{keras.__version__} on TensorFlow {tensorflow.__version__}"

    def function(self, model):
        keras, tensorflow = self.keras, self.library
        network = keras.Sequential([keras.layers.Input(model.source.shape)])
        for layer, weights in zip(model.row.layers, model.weights):
            activation = "relu6" if layer.activation == "relu6" else None
            usual = {"strides": layer.stride, "padding": "same", "activation": activation}
            if layer.kind == "depthwise":
                made = keras.layers.DepthwiseConv2D(layer.side, **usual)
            else:
                made = keras.layers.Conv2D(layer.outputs, layer.side, **usual)
            network.add(made)
            made.set_weights(weights)
        shape = (1, *model.source.shape)
        signature = tensorflow.TensorSpec(shape, tensorflow.float32)
        function = tensorflow.function(lambda x: network(x, training=False))
        return network, function.get_concrete_function(signature)

    def enter(self, model):
        network, function = self.function(model)
        source = self.library.constant(model.source[None])
        kept = [network, None]

        def call():
            kept[1] = function(source)

        return call, lambda: kept[1].numpy()[0], ""


class LiteRt:
    def __init__(self, threads, keras):
        import importlib.metadata

        from ai_edge_litert import interpreter

        self.library, self.threads, self.keras = interpreter, threads, keras
        self.version = importlib.metadata.version("ai-edge-litert") + " (XNNPACK)"

    def enter(self, model):
        if self.keras is None:
            raise RuntimeError("its models are made with Keras")
        from tensorflow.python.framework import convert_to_constants

        network, function = self.keras.function(model)
        # With its variables as they are, the runtime would have to fill them.
        function = convert_to_constants.convert_variables_to_constants_v2(function)
        lite = self.keras.library.lite
        converter = lite.TFLiteConverter.from_concrete_functions([function], network)
        interpreter = self.library.Interpreter(
            model_content=converter.convert(), num_threads=self.threads
        )
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        out = interpreter.get_output_details()[0]["index"]
        interpreter.set_tensor(source, model.source[None])
        return interpreter.invoke, lambda: interpreter.get_tensor(out)[0], ""


class OpenCv:
    def __init__(self, threads):
        import cv2

        self.library = cv2
        cv2.setNumThreads(threads)
        self.version = cv2.__version__

    def enter(self, model):
        if model.row.op != "mix":
            return None
        matrix = np.ascontiguousarray(model.weights[0][0][0, 0].T)
        source, out = model.source, aligned(model.shape, model.source.dtype)
        return lambda: self.library.transform(source, matrix, dst=out), lambda: out, ""


def peers(threads):
    """Whoever is installed, and why the others are not there."""
    found, absent = {}, {}
    makers = {
        "Keras": lambda: Keras(threads),
        "LiteRT": lambda: LiteRt(threads, found.get("Keras")),
        "ONNX Runtime": lambda: OnnxRuntime(threads),
        "OpenVINO": lambda: OpenVino(threads),
        "OpenCV": lambda: OpenCv(threads),
    }
    for name, make in makers.items():
        try:
            found[name] = make()
        except Exception as error:  # noqa: BLE001 — a peer's absence is a result
            absent[name] = f"{type(error).__name__}: {error}"
    return found, absent


class Model:
    """A row's weights and image."""

    def __init__(self, row):
        dice = np.random.default_rng(224)
        self.row = row
        self.weights = list(weights_of(row.layers, dice))
        if row.op == "mix":
            self.weights = [(saturation().T[None, None], np.zeros(3, np.float32))]
        self.source = aligned((row.height, row.width, row.channels), TYPES[row.sample])
        if row.sample == "u8":
            self.source[:] = dice.integers(0, 256, self.source.shape, np.uint8)
        else:
            self.source[:] = dice.random(self.source.shape, np.float32)
        width, height, channels = list(row.shapes())[-1]
        self.shape = (height, width, channels)
        self.ordinary = list(weights_of(row.ordinary, dice))

    def planar_source(self):
        planar = aligned((1, *np.roll(self.source.shape, 1)), np.float32)
        planar[0] = self.source.transpose(2, 0, 1)
        return planar

    def planar_shape(self):
        return (1, *(int(n) for n in np.roll(self.shape, 1)))

    def onnx(self):
        import onnx
        from onnx import helper, numpy_helper

        nodes, constants, last = [], [], "x"
        for i, (layer, (taps, bias)) in enumerate(zip(self.row.layers, self.weights)):
            # [h, w, in, out] → [out, in, h, w], [h, w, c, 1] → [c, 1, h, w].
            order = (2, 3, 0, 1) if layer.kind == "depthwise" else (3, 2, 0, 1)
            own = np.ascontiguousarray(taps.transpose(order))
            constants += [
                numpy_helper.from_array(own, f"w{i}"),
                numpy_helper.from_array(bias, f"b{i}"),
            ]
            nodes.append(
                helper.make_node(
                    "Conv", [last, f"w{i}", f"b{i}"], [f"c{i}"], auto_pad="SAME_UPPER",
                    kernel_shape=[layer.side] * 2, strides=[layer.stride] * 2,
                    group=layer.inputs if layer.kind == "depthwise" else 1,
                )
            )  # fmt: skip
            last = f"c{i}"
            if layer.activation == "relu6":
                nodes.append(helper.make_node("Clip", [last, "zero", "six"], [f"r{i}"]))
                last = f"r{i}"
        if any(layer.activation == "relu6" for layer in self.row.layers):
            constants += [
                numpy_helper.from_array(np.array(value, np.float32), name)
                for name, value in (("zero", 0.0), ("six", 6.0))
            ]
        nodes[-1].output[0] = "y"
        shapes = ((1, *np.roll(self.source.shape, 1)), self.planar_shape())
        x, y = (
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [int(n) for n in shape])
            for name, shape in zip("xy", shapes)
        )
        graph = helper.make_graph(nodes, "row", [x], [y], constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
        )
        onnx.checker.check_model(model)
        return model.SerializeToString()


class Contest:
    """A row, with everybody who takes part."""

    def __init__(self, row, options, library, peers, skip):
        self.row, self.options, self.library, self.peers = row, options, library, peers
        self.model, self.skip = Model(row), set(skip)
        self.out = aligned(self.model.shape, TYPES[row.sample])
        self.handles, self.list = [], []

    def enter(self, name, make):
        contestant = Contestant(name, None)
        if name in self.skip:
            contestant.status = "crashed"
        else:
            self.options["running"](self.row.id, name)
            try:
                made = make()
            except Exception as error:  # noqa: BLE001 — a peer's failure is a result
                contestant.status = f"unavailable: {type(error).__name__}: {error}"
            else:
                if made is None:
                    return
                call, result, note = made
                contestant = Contestant(name, call, result, note=note)
        self.list.append(contestant)

    def rust(self, how, layers=None, weights=None):
        def make():
            flat = [a.ravel() for pair in weights or self.model.weights for a in pair]
            flat = np.ascontiguousarray(np.concatenate(flat))
            spec = self.row.spec(how, self.options["level"], self.options["threads"], layers)
            handle = self.library.layers(spec, flat)
            self.handles.append(handle)
            return handle.call(self.model.source, self.out), None, ""

        return make

    def invite(self):
        row = self.row
        self.enter("twopass", self.rust("fused"))
        if len(row.layers) > 1:
            self.enter("apart", self.rust("apart"))
        if self.options["peers"]:
            for name, peer in self.peers.items():
                # Only OpenCV mixes colours, and does nothing else.
                if (name == "OpenCV") == (row.op == "mix"):
                    self.enter(name, lambda peer=peer: peer.enter(self.model))
        if row.ordinary:
            self.enter("ordinary", self.rust("fused", row.ordinary, self.model.ordinary))

    def check(self):
        """Everybody's first call, against the definition."""
        width, height = self.model.shape[1], self.model.shape[0]
        rect = (0, 0, width, height)
        if self.handles:
            exact = self.handles[0].exact(self.model.source, rect, self.model.shape[2])
        if self.row.sample == "u8":
            exact = np.clip(np.floor(exact + 0.5), 0, 255)
            scale = 1.0
        else:
            scale = float(np.abs(exact).max())
        for contestant in self.list:
            if contestant.status != "ok":
                continue
            self.out.fill(77)
            self.options["running"](self.row.id, contestant.name)
            try:
                contestant.call()
            except Exception as error:  # noqa: BLE001 — a peer's failure is a result
                contestant.status = f"failed: {error}"
                continue
            if contestant.name == "ordinary":
                # Its weights are its own; its results have a row of their own.
                continue
            found = self.out if contestant.result is None else contestant.result()
            assert found.shape == exact.shape, (contestant.name, found.shape, exact.shape)
            contestant.error = max(
                float(np.abs(a - b).max()) / scale for a, b in zip(exact, found)
            )
            # A wrong answer has no time.
            if not contestant.error <= (1.0 if self.row.sample == "u8" else 1e-4):
                contestant.status = f"wrong: error {contestant.error}"
        if self.list[0].status != "ok":
            raise SystemExit(f"{self.row.id}: {self.list[0].status}")

    def run(self):
        self.invite()
        about = self.handles[0].about() if self.handles else ""
        self.check()
        copy = copying((self.model.source.nbytes + self.out.nbytes) // 2)
        work = []
        peak = Contestant("peak", lambda: work.append(self.library.peak()))
        turns = [c for c in self.list if c.status == "ok"] + [copy, peak]
        gc.disable()
        take_turns(turns, self.options, lambda name: self.options["running"](self.row.id, name))
        gc.enable()
        for handle in self.handles:
            handle.close()
        contestants = {}
        for c in self.list:
            entry = {"status": c.status}
            if c.times and c.status == "ok":
                entry |= {"ms": min(c.times), "median_ms": float(np.median(c.times))}
                entry |= {"calls": len(c.times), "error": c.error}
            contestants[c.name] = entry
        row, ours = self.row, min(self.list[0].times)
        between = [w * h * c for w, h, c in row.shapes()]
        return {
            "id": row.id, "op": row.op, "sample": row.sample,
            "width": row.width, "height": row.height, "channels": row.channels,
            "mix": [*self.model.shape[:2], row.layers[-1].inputs, row.layers[-1].outputs],
            "threads": self.options["threads"],
            # In and out of the first layer.
            "bytes": 4 * (row.width * row.height * row.channels + between[0]),
            "multiplications": row.multiplications(),
            "ordinary_multiplications": row.multiplications(row.ordinary),
            "gfma": row.multiplications() / ours / 1e6,
            "peak": work[0] / min(peak.times) / 1e6 * self.options["threads"],
            "copy_ms": min(copy.times), "plan": about, "load": os.getloadavg()[0],
            "contestants": contestants,
        }  # fmt: skip


def main():
    order = json.load(sys.stdin)
    options = order["options"]
    with open(order["marker"], "r+b") as file:
        marker = mmap.mmap(file.fileno(), 256)

    def running(row, name):
        marker[:] = f"{row}\n{name}".encode().ljust(256, b"\0")

    options["running"] = running
    found, absent = peers(options["threads"]) if options["peers"] else ({}, {})
    versions = {name: peer.version for name, peer in found.items()}
    say({"versions": versions | {"NumPy": np.__version__, "absent": absent}}, ANSWERS)
    library = Library(order["libraries"]["twopass"])
    rows = {row.id: row for row in all_rows()}
    for name in order["rows"]:
        skip = order["skip"].get(name, [])
        say({"row": Contest(rows[name], options, library, found, skip).run()}, ANSWERS)


if __name__ == "__main__":
    main()
