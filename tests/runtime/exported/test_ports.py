from pipeline.model.architecture import Architecture
from pipeline.runtime.exported.ports import ports


def test_names_are_in_the_order_of_the_steps_outputs() -> None:
    names = ports(Architecture(num_layers=2))
    assert names.inputs == ("frame", "keys", "values", "valid")
    assert names.outputs == ("logits", "attention", "next_keys", "next_values", "next_valid")
    assert names.kept == (*names.outputs[2:], "appearance", "query_0", "query_1")


def test_dense_motion_has_a_state_an_answer_and_features_of_its_own() -> None:
    plain, dense = ports(Architecture()), ports(Architecture(motion=True))
    assert dense.state == (*plain.state, "match", "fine")
    assert dense.answer == (*plain.answer, "flow", "uncertainty", "moving", "camera")
    assert dense.features == (*plain.features, "new_context", "new_match", "new_fine")
