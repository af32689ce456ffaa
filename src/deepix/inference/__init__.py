"""ONNX models at work, whatever they are for: opened, described and run by ONNX Runtime; pictures cut into tiles."""
