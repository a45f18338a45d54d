"""Real-ESRGAN, run by ncnn on the processor or by torch on whatever there is."""
