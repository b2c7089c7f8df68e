"""Image and hole in, completed image out."""

from runtime.engines.kind import Form, Kind

KIND = Kind(
    name="inpainter",
    inputs={
        "image": Form("uint8", "NHW3"),
        "hole_mask": Form("uint8", "NHW"),
        "style_image": Form("uint8", "NHW3", is_optional=True),
    },
    outputs={"completed": Form("uint8", "NHW3")},
    runner="runtime.runners.inpainter:Inpainter",
)
