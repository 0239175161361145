"""Splits an exported step into two graphs: features of a frame, and the answer from them.

For a frame whose features are known, only the answer graph runs. It consists of the step's own operators, so
its result is that of the step.
"""

from typing import Any

from pipeline.base.packages import load_package
from pipeline.runtime.exported.ports import Ports


class CutError(ValueError):
    """A step that cannot be split: its answer needs more than the features, or the library fails."""


def openvino_answer(step: Any, ports: Ports) -> Any:
    """Extracts the graph from an image's features and the state to the answer.

    Args:
        step: An ``openvino.Model`` for pixels; not modified.
        ports: Names of its inputs and outputs.

    Returns:
        An ``openvino.Model`` with the inputs ``ports.features`` and ``ports.state``, and the outputs
        ``ports.answer``.

    Raises:
        CutError: The answer still depends on the frame, or the library fails.
    """
    openvino = load_package("openvino")
    parameter = load_package("openvino.opset13").parameter
    try:
        whole = step.clone()
        inputs = []
        for name in ports.features:
            source = whole.output(name).get_node().input_value(0)
            known = parameter(source.get_partial_shape(), source.get_element_type())
            for target in source.get_target_inputs():
                if target.get_node().get_type_name() != "Result":
                    target.replace_source_output(known.output(0))
            known.output(0).get_tensor().set_names({name})
            inputs.append(known)
        inputs += [whole.input(name).get_node() for name in ports.state]
        results = [whole.output(name).get_node() for name in ports.answer]
        return openvino.Model(results, inputs, "answer")
    except RuntimeError as error:
        raise CutError(f"the answer needs more of the frame than {', '.join(ports.features)}") from error


def openvino_encoder(step: Any, ports: Ports) -> Any:
    """Extracts the rest of the step: from frame and state to the next state and the features.

    Args:
        step: An ``openvino.Model`` for pixels; not modified.
        ports: Names of its inputs and outputs.

    Returns:
        An ``openvino.Model`` with the inputs ``ports.inputs`` and the outputs ``ports.kept``.
    """
    openvino = load_package("openvino")
    whole = step.clone()
    results = [whole.output(name).get_node() for name in ports.kept]
    return openvino.Model(results, [whole.input(name).get_node() for name in ports.inputs], "encoder")


def onnx_answer(step: bytes, ports: Ports) -> bytes:
    """Extracts the same graph as ``openvino_answer`` from an ONNX model.

    Raises:
        CutError: The answer still depends on the frame, or the library fails.
    """
    onnx = load_package("onnx")
    utils = load_package("onnx.utils")
    try:
        cut = utils.Extractor(onnx.load_from_string(step)).extract_model(
            [*ports.features, *ports.state], [*ports.answer]
        )
        onnx.checker.check_model(cut)
    except (onnx.checker.ValidationError, ValueError, AssertionError) as error:
        raise CutError(f"the answer needs more of the frame than {', '.join(ports.features)}") from error
    answer: bytes = cut.SerializeToString()
    return answer
