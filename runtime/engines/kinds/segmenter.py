"""Photo in, label map out: a judge of `python -m training evaluate`, which has its own way to run it."""

from runtime.engines.kind import Form, Kind

KIND = Kind(name="segmenter", inputs={"image": Form("uint8", "NHW3")}, outputs={"label_map": Form("uint8", "NHW")})
