"""Every operation over HTTP gives what the library gives; whatever is wrong becomes a problem that says so."""

import base64
import io
import json

import numpy as np
import pytest
from openapi_spec_validator import validate
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from runtime import Inpainter, SketchCompleter, StyleEncoder, Synthesizer, Translator
from runtime.server.operations import OPERATIONS
from tests.runtime import tiny_completers, tiny_engines, tiny_inpainters
from tests.runtime.requests import error_of, form, get, pixels, png, post, request

RNG = np.random.default_rng(0)


def photo(size, channels=3):
    return RNG.integers(0, 256, (*size, channels), dtype=np.uint8)


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def raw(service, path, body, kind="image/png", **headers):
    """(status, headers, body) of a picture as the body."""
    return request(service, "POST", path, body, {"content-type": kind, **headers})


LABELS = RNG.integers(0, 3, tiny_engines.SIZE, dtype=np.uint8)
INSTANCES = np.arange(LABELS.size, dtype=np.int32).reshape(LABELS.shape) // 40 + 300
HOLES = np.zeros(tiny_inpainters.SIZE, np.uint8)
HOLES[8:20, 8:20] = 255


def test_synthesize(tiny_service):
    styles, maps = {2: [3.0, 4.0], 300: [1.0, 2.0]}, {"label_map": png(LABELS)}
    fields = {"inst_map": png(INSTANCES.astype(np.uint16)), "seed": 3, "styles": json.dumps(styles)}
    status, body = post(tiny_service, "/v1/scene/synthesize", **maps, **fields)
    assert status == 200, body
    with Synthesizer(tiny_service.folder / "scene.onnx") as synthesizer:
        expected = synthesizer.run(LABELS, INSTANCES, styles=styles, seed=3)
    assert np.array_equal(pixels(body), expected)


def test_styles_come_from_the_encoder_beside_the_engine_and_fit_it(tiny_service):
    image = photo(LABELS.shape)
    status, body = post(tiny_service, "/v1/free/styles", photo=png(image), regions=png(LABELS))
    assert status == 200, body
    with StyleEncoder(tiny_service.folder / "free.encoder.onnx") as encoder:
        expected = encoder.run(image, LABELS)
    styles = json.loads(body)["styles"]
    assert {int(key): value for key, value in styles.items()} == {key: one.tolist() for key, one in expected.items()}
    fields = {"label_map": png(LABELS), "inst_map": png(LABELS), "styles": json.dumps(styles)}
    status, body = post(tiny_service, "/v1/free/synthesize", **fields)
    assert status == 200, body


def test_translate_of_a_raw_body(tiny_service):
    image = photo((20, 24))
    with Translator(tiny_service.folder / "lines.onnx") as translator:
        expected = translator.run(image)
    for kind in ("image/png", "application/octet-stream", "IMAGE/PNG; charset=x"):
        status, headers, body = raw(tiny_service, "/v1/lines/translate", png(image), kind)
        assert status == 200, body
        assert headers["content-type"] == "image/png"
        assert np.array_equal(pixels(body), expected)
    status, headers, body = raw(tiny_service, "/v1/lines/translate", npy(image), "application/x-npy")
    assert np.array_equal(pixels(body), expected)
    assert set(headers["server-timing"].replace(",", ";").split(";")[::2]) >= {"upload", " run"}


def test_inpaint(tiny_service):
    image = photo(HOLES.shape)
    fields = {"image": png(image), "mask": png(255 - HOLES), "invert_mask": "true", "dilate": 2, "feather": 1}
    status, body = post(tiny_service, "/v1/holes/inpaint", **fields)
    assert status == 200, body
    with Inpainter(tiny_service.folder / "holes.onnx") as inpainter:
        assert np.array_equal(pixels(body), inpainter.run(image, HOLES, dilate=2, feather=1))


def sketch():
    return photo((tiny_completers.SIDE,) * 2)


def test_complete(tiny_service):
    image, options = sketch(), {"iterations": 7, "restarts": 2, "learning_rate": 0.05, "stop_early": "0"}
    status, body = post(tiny_service, "/v1/faces/complete", image=png(image), **options)
    assert status == 200, body
    with SketchCompleter(tiny_service.folder / "faces.onnx") as completer:
        assert np.array_equal(pixels(body), completer.run(image, **options | {"stop_early": False}))


def test_a_search_tells_its_steps(tiny_service):
    image = sketch()
    body, headers = form({"image": png(image), "iterations": 6, "show_every": 3, "stop_early": "false"})
    headers["accept"] = "text/event-stream"
    status, headers, body = request(tiny_service, "POST", "/v1/faces/complete", body, headers)
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    events = [event.split("\n") for event in body.decode().strip().split("\n\n")]
    names, data = [one[0] for one in events], [json.loads(one[1].removeprefix("data: ")) for one in events]
    assert names == ["event: step"] * 7 + ["event: done"]
    assert [one["iteration"] for one in data[:-1]] == list(range(7))
    assert ["image" in one for one in data[:-1]] == [True, False, False] * 2 + [True]
    with SketchCompleter(tiny_service.folder / "faces.onnx") as completer:
        expected = completer.run(image, iterations=6, stop_early=False)
    assert np.array_equal(pixels(base64.b64decode(data[-1]["image"])), expected)


def test_a_stream_that_fails_ends_with_a_problem(tiny_service):
    body, headers = form({"image": b"no picture"})
    headers["accept"] = "text/event-stream"
    _, _, body = request(tiny_service, "POST", "/v1/faces/complete", body, headers)
    event, data = body.decode().strip().split("\n")
    assert event == "event: problem"
    assert "corrupt" in json.loads(data.removeprefix("data: "))["detail"]


def test_the_answer_comes_as_it_is_wanted(tiny_service):
    image = photo((20, 24))
    with Translator(tiny_service.folder / "lines.onnx") as translator:
        expected = translator.run(image)
    _, headers, body = raw(tiny_service, "/v1/lines/translate?format=npy", png(image), accept="image/png")
    assert headers["content-type"] == "application/x-npy"
    assert np.array_equal(np.load(io.BytesIO(body)), expected)
    _, headers, body = raw(
        tiny_service, "/v1/lines/translate", png(image), accept="text/html, image/jpeg;q=0.9, */*;q=0.1"
    )
    assert headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(body)) as opened:
        assert (opened.format, opened.size) == ("JPEG", (24, 20))


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/*", "image/png"),
        ("", "image/png"),
        ("IMAGE/JPEG", "image/jpeg"),
        ("image/jpeg;q=0.5, image/png", "image/png"),
        ("image/png;q=0, */*;q=0.1", "image/png"),
        ("image/png, text/event-stream", "image/png"),
        ("image/jpeg, text/event-stream;q=0", "image/jpeg"),
        ("Text/Event-Stream", "text/event-stream"),
        ("image/png;q=0", 406),
        ("image/webp", 406),
        ("image/png;q=high", 406),
    ],
)
def test_the_answer_that_is_liked_best(tiny_service, accept, kind):
    body, headers = form({"image": png(sketch()), "iterations": 1})
    status, answered, _ = request(tiny_service, "POST", "/v1/faces/complete", body, headers | {"accept": accept})
    assert (status if status != 200 else answered["content-type"].partition(";")[0]) == kind


def test_what_no_picture_holds_comes_as_an_array(tiny_service):
    image = photo((16, 24))
    status, _, body = raw(tiny_service, "/v1/grey/translate?format=npy", png(image))
    assert status == 200
    assert np.load(io.BytesIO(body)).shape == (16, 24, 2)


def test_what_was_done_to_a_picture_is_told(tiny_service):
    _, headers, _ = raw(tiny_service, "/v1/lines/translate", png(photo((20, 24), 4)))
    assert headers["x-pix2rt-notes"] == "it is transparent in places; it was laid on white"


IMAGE = png(photo((20, 24)))
FORTRAN = npy(np.asfortranarray(LABELS))


def test_arrays_of_either_order_are_read(tiny_service):
    assert post(tiny_service, "/v1/free/synthesize", label_map=FORTRAN, inst_map=npy(LABELS)) == post(
        tiny_service, "/v1/free/synthesize", label_map=png(LABELS), inst_map=png(LABELS)
    )


@pytest.mark.parametrize(
    ("path", "fields", "status", "message"),
    [
        ("/v1/nobody/translate", {"image": IMAGE}, 404, "no engine 'nobody' here; those are scene, free"),
        ("/v1/lines/inpaint", {"image": IMAGE}, 404, "engine lines has no 'inpaint'; it has translate"),
        ("/v1/broken/translate", {"image": IMAGE}, 503, "engine broken was not loaded: engine"),
        ("/v1/lines/translate", {}, 400, "image is missing; send an image of any size"),
        ("/v1/lines/translate", {"image": "text"}, 400, "image is a text, expected a file"),
        ("/v1/lines/translate", {"image": IMAGE, "seed": IMAGE}, 400, "seed is a file, expected a text"),
        ("/v1/lines/translate", {"image": IMAGE, "strength": 2}, 400, "takes no 'strength'; it takes image, seed"),
        ("/v1/lines/translate", {"image": IMAGE, "seed": 3}, 400, "seed"),
        ("/v1/lines/translate", {"image": IMAGE, "derive": "maybe"}, 400, "derive is 'maybe', expected true or false"),
        ("/v1/lines/translate", {"image": IMAGE, "derive": "true"}, 400, "does not say how its inputs were made"),
        ("/v1/lines/translate", {"image": IMAGE, "format": "gif"}, 400, "expected one of png, jpeg, npy"),
        ("/v1/grey/translate", {"image": IMAGE}, 406, "has 2 channels, which no picture has; ask for npy"),
        ("/v1/scene/synthesize", {"label_map": png(LABELS + 99), "inst_map": png(LABELS)}, 400, "label_map"),
        ("/v1/scene/synthesize", {"label_map": png(LABELS)}, 400, "inst_map is missing"),
        ("/v1/scene/synthesize", {"label_map": png(LABELS), "styles": "{"}, 400, "styles is not JSON"),
        ("/v1/scene/synthesize", {"label_map": npy(LABELS[None])}, 400, "expected [H, W]: one in a request"),
        ("/v1/scene/synthesize", {"label_map": npy(LABELS)[:-1]}, 400, "its header says uint8"),
        ("/v1/scene/synthesize", {"label_map": npy(LABELS)[:30]}, 400, "is corrupt, or no .npy file of numbers"),
        ("/v1/lines/translate", {"image": npy(np.zeros((5000, 4000, 0), np.uint8))}, 413, "20 megapixels, more than"),
        ("/v1/faces/complete", {"image": IMAGE, "iterations": 5001}, 400, "a server takes 1 to 5000"),
        ("/v1/faces/complete", {"image": IMAGE, "iterations": 0}, 400, "iterations is 0, a server takes 1 to"),
        ("/v1/faces/complete", {"image": IMAGE, "learning_rate": "1e308"}, 400, "a number of at most 1e+06"),
        ("/v1/faces/complete", {"image": IMAGE, "learning_rate": "1_0"}, 400, "expected a number"),
        ("/v1/lines/translate", {"image": IMAGE, "": IMAGE}, 400, "a part of the form has no name"),
        ("/v1/faces/complete", {"image": IMAGE, "momentum": "nan"}, 400, "momentum is 'nan', expected a number"),
        ("/v1/faces/complete", {"image": IMAGE, "given": "song"}, 400, "expected one of sketch, photo"),
        ("/v1/lines/translate", {"image": bytes(2**20)}, 413, "larger than 1 MiB"),
    ],
)
def test_problems(tiny_service, path, fields, status, message):
    answer = post(tiny_service, path, **fields)
    assert answer[0] == status, answer
    assert message in error_of(answer)


@pytest.mark.parametrize(
    ("headers", "body", "status", "message"),
    [
        ({"content-type": "text/html"}, b"<p>", 415, "the body is 'text/html'"),
        ({"content-type": "multipart/form-data"}, b"x", 400, "boundary"),
        ({"content-type": "multipart/form-data; boundary=b"}, b"--b\r\nno colon\r\n", 400, ""),
        ({"content-type": "image/png", "accept": "text/html"}, IMAGE, 406, "the answer is wanted as 'text/html'"),
    ],
)
def test_bodies_of_other_kinds(tiny_service, headers, body, status, message):
    answer = request(tiny_service, "POST", "/v1/lines/translate", body, headers)
    assert answer[0] == status
    assert answer[1]["content-type"] == "application/problem+json"
    assert message in error_of(answer)


def test_a_form_that_was_cut_off_loses_nothing_in_silence(tiny_service):
    body, headers = form({"image": png(sketch()), "iterations": 3, "given": "photo"})
    for cut in (3, 8, 40, len(body) // 2):
        answer = request(tiny_service, "POST", "/v1/faces/complete", body[:-cut], headers)
        assert "it ends before its last boundary" in error_of(answer)
    answer = request(tiny_service, "POST", "/v1/faces/complete", body, {"content-type": "multipart/form-data"})
    assert "names no boundary" in error_of(answer)


def test_a_body_that_is_packed_is_said_to_be(tiny_service):
    answer = raw(tiny_service, "/v1/lines/translate", b"\x1f\x8b", **{"content-encoding": "gzip"})
    assert answer[0] == 415
    assert "the body is packed (gzip)" in error_of(answer)


def test_what_would_start_a_program_is_no_picture(tiny_service):
    """Pillow gives EPS to Ghostscript."""
    stream = io.BytesIO()
    Image.new("RGB", (64, 64)).save(stream, format="EPS")
    answer = raw(tiny_service, "/v1/lines/translate", stream.getvalue())
    assert answer[0] == 400
    assert "of no known format" in error_of(answer)


def test_a_part_that_comes_twice_is_refused(tiny_service):
    answer = raw(tiny_service, "/v1/lines/translate?format=png&format=jpeg", IMAGE)
    assert "format is there twice" in error_of(answer)
    answer = request(tiny_service, "POST", "/v1/lines/translate?seed=1", *form({"image": IMAGE, "seed": 2}))
    assert "seed is there twice" in error_of(answer)


def test_other_methods_and_paths_are_problems_too(tiny_service):
    for path, status in (("/v1/lines/translate", 405), ("/nothing", 404), ("/static/../api.py", 404)):
        answer = get(tiny_service, path)
        assert answer[0] == status
        assert json.loads(answer[2])["status"] == status


def test_engines_describe_themselves(tiny_service):
    listed = {one["name"]: one for one in json.loads(get(tiny_service, "/v1/engines")[2])["engines"]}
    assert list(listed) == ["scene", "free", "holes", "faces", "lines", "grey"]
    assert listed["free"]["operations"] == ["synthesize", "styles"]
    assert listed["free"]["size"] is None
    one = json.loads(get(tiny_service, "/v1/engines/scene")[2])
    assert one["specification"]["labels"]["names"] == list(tiny_engines.LABELS.names)
    assert get(tiny_service, "/v1/engines/nobody")[0] == 404


def test_it_lives_but_is_not_ready_while_an_engine_is_broken(tiny_service):
    assert get(tiny_service, "/healthz")[0] == 200
    status, _, body = get(tiny_service, "/readyz")
    assert status == 503
    assert list(json.loads(body)["failed"]) == ["broken"]


def test_metrics_are_prometheus_own(tiny_service):
    raw(tiny_service, "/v1/lines/translate", IMAGE)
    post(tiny_service, "/v1/x/y", image=IMAGE)
    get(tiny_service, "/v1/engines", Host="evil.example")
    get(tiny_service, "/v1/lines/translate")
    families = {one.name: one for one in text_string_to_metric_families(get(tiny_service, "/metrics")[2].decode())}
    counted = {tuple(one.labels.values()): one.value for one in families["pix2rt_requests"].samples}
    assert counted["", "", "421"] >= 1, "what the guard refuses counts, too"
    assert counted["lines", "translate", "405"] >= 1
    assert counted["lines", "translate", "200"] >= 1
    assert counted["", "", "404"] >= 1
    stages = {one.labels["stage"] for one in families["pix2rt_stage_seconds"].samples}
    assert stages == {"upload", "decode", "queue", "run", "encode"}
    assert families["pix2rt_requests_kept"].samples[0].value == 0
    assert families["process_resident_memory_bytes"].samples[0].value > 2**20


def test_the_description_is_valid_and_has_every_part(tiny_service):
    document = json.loads(get(tiny_service, "/openapi.json")[2])
    validate(document)
    for engine, name in (("scene", "synthesize"), ("lines", "translate"), ("holes", "inpaint"), ("faces", "complete")):
        content = document["paths"][f"/v1/{engine}/{name}"]["post"]["requestBody"]["content"]
        taken = content["multipart/form-data"]["schema"]["properties"]
        (operation,) = [one for one in OPERATIONS if one.name == name]
        assert {part.name for part in operation.parts} < set(taken)


def test_the_page_loads_from_here_only(tiny_service):
    for path in ("/", "/static/api.css", "/static/api.js"):
        status, _, body = get(tiny_service, path)
        assert status == 200
        assert b"//" not in body.replace(b"// What", b"").replace(b"http://", b"")
