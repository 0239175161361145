"""The answer alone, for a frame whose projections are known: cut out of an exported step.

Being the step's own operators, int8 ones included, it gives what the step would give.
"""

from collections.abc import Sequence
from typing import Any

from pipeline.base.packages import load_package
from pipeline.runtime.exported.convert import INPUTS, OUTPUTS

STATE, ANSWER = INPUTS[1:], OUTPUTS[:2]


class CutError(ValueError):
    """A step that can't be cut: its answer needs more of the frame, or the library refuses."""


def openvino_answer(step: Any, projections: Sequence[str]) -> Any:
    """From the outputs ``projections`` and the state to logits and attention.

    Args:
        step: An ``openvino.Model`` for pixels; it is left alone.
        projections: See ``query_projections``.

    Returns:
        An ``openvino.Model`` with the inputs ``projections`` and ``STATE``, and the outputs ``ANSWER``.

    Raises:
        CutError: The answer still depends on the frame, or the library can't do it.
    """
    openvino = load_package("openvino")
    parameter = load_package("openvino.opset13").parameter
    try:
        whole = step.clone()
        inputs = []
        for name in projections:
            source = whole.output(name).get_node().input_value(0)
            known = parameter(source.get_partial_shape(), source.get_element_type())
            for target in source.get_target_inputs():
                if target.get_node().get_type_name() != "Result":
                    target.replace_source_output(known.output(0))
            known.output(0).get_tensor().set_names({name})
            inputs.append(known)
        inputs += [whole.input(name).get_node() for name in STATE]
        results = [whole.output(name).get_node() for name in ANSWER]
        return openvino.Model(results, inputs, "answer")
    except RuntimeError as error:
        raise CutError(f"the answer can't be had from {', '.join(projections)} alone") from error


def onnx_answer(step: bytes, projections: Sequence[str]) -> bytes:
    """The same of an ONNX model.

    Raises:
        CutError: The answer still depends on the frame, or the library can't do it.
    """
    onnx = load_package("onnx")
    utils = load_package("onnx.utils")
    try:
        cut = utils.Extractor(onnx.load_from_string(step)).extract_model([*projections, *STATE], [*ANSWER])
        onnx.checker.check_model(cut)
    except (onnx.checker.ValidationError, ValueError, AssertionError) as error:
        raise CutError(f"the answer can't be had from {', '.join(projections)} alone") from error
    answer: bytes = cut.SerializeToString()
    return answer
