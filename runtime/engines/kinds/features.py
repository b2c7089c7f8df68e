"""Photo in, feature map out: a judge of `python -m training evaluate`, which has its own way to run it."""

from runtime.engines.kind import Form, Kind

KIND = Kind(name="features", inputs={"image": Form("uint8", "NHW3")}, outputs={"features": Form("float32", "NCRS")})
