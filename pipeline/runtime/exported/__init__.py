"""The step on ONNX Runtime and OpenVINO: export, quantisation, cache of compiled models.

Nothing else may import onnx, onnxruntime, openvino or nncf.
"""
