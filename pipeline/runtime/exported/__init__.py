"""The step as a graph for ONNX Runtime and OpenVINO: export, quantising, cache of compiled models.

Nothing else may import onnx, onnxruntime, openvino or nncf.
"""
