"""Photo in, features of every pixel out."""

from runtime.engines.kind import Form, Kind

KIND = Kind(
    name="style_encoder",
    inputs={"image": Form("uint8", "NHW3")},
    outputs={"feat_map": Form("float32", "NFHW")},
    runner="runtime.runners.style_encoder:StyleEncoder",
)
