"""Sketch in, photo out, or the reverse: a joint image [sketch | photo] completed by a search for ẑ (Contextual GAN)."""

from typing import Any, ClassVar, Unpack, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.engines.backend import Engine, Loop
from runtime.engines.engine import AUTO, EngineFile
from runtime.engines.rendering import require_output
from runtime.engines.spec import EngineSpec
from runtime.errors import DeviceError, InputError
from runtime.runners.checks import as_array
from runtime.runners.examples import Size, example_image
from runtime.runners.runner import Notify, Runner, ignore
from runtime.runners.search import Callback, Completion, Floats, Progress, Search, SearchOptions, Step, search_from
from runtime.runners.sketch_input import Direction, check_drawing, check_hint, check_known_mask, fit_to

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
_CARRIED = {"next_z": "z", "next_velocity": "velocity"}


class SketchCompleter(Runner):
    """Runs a sketch engine. See `Runner` for what all runners share.

    Attributes:
        side: of sketch and photo, pixels.
        z_nc: length of z.
    """

    kind = "sketch"
    bench_options: ClassVar[SearchOptions] = {"stop_early": False}
    quick_options: ClassVar[SearchOptions] = {"iterations": 1}

    def __init__(
        self, engine: EngineFile | Engine, device: str = AUTO, *, backend: str = AUTO, threads: int | None = None
    ) -> None:
        """Load the engine; arguments and errors as in `runtime.engines.engine.open_engine`."""
        super().__init__(engine, device, backend=backend, threads=threads)
        z = self.spec.tensor("z")
        self.side, self.z_nc = int(self.spec.tensor("observed").shape[1]), int(z.shape[1])
        self._rows = z.shape[0] if isinstance(z.shape[0], int) else None

    @classmethod
    def example(
        cls, spec: EngineSpec, size: Size | None = None, *, noise: bool = False, seed: int = 0
    ) -> dict[str, NDArray[Any]]:
        """See `Runner.example`: a drawing."""
        side = int(spec.tensor("observed").shape[1])
        return {"image": example_image(size or (side, side), 3, noise=noise, seed=seed)}

    def run(
        self,
        image: ArrayLike,
        known_mask: ArrayLike | None = None,
        hint: ArrayLike | None = None,
        *,
        given: Direction = "sketch",
        callback: Callback | None = None,
        notify: Notify | None = None,
        **search: Unpack[SearchOptions],
    ) -> NDArray[np.uint8]:
        """Make the photo of a sketch, or the sketch of a photo. Same input, same options: same bytes.

        Args:
            image: uint8 [H, W], [H, W, 3] or [H, W, 4] of any size; `runtime.runners.sketch_input.check_drawing` says
                how it is brought to the engine's. Or several of one size, [N, H, W, C]: as N single calls.
            known_mask: bool or uint8 [H, W], for several images [N, H, W]: which pixels of `image` are evidence. 0 =
                none, else how much a pixel matters: raise it where a sparse sketch has what must not get lost, such as
                glasses.
            hint: uint8 [H, W, 4] as large as `image`, for several [N, H, W, 4]: what is known of the other half, such
                as dabs of colour where hair and skin are. Its opacity is its weight. It steers the result and is not
                shown in it.
            given: what `image` is: "sketch" or "photo".
            callback: called after every step; where it returns True, the search ends with the best so far.
            notify: called with a sentence for every conversion of `image`.
            **search: see `runtime.runners.search.Search`: iterations, restarts, seed, …

        Returns:
            The other half, uint8 [side, side, 3] or [N, side, side, 3], a fresh array.

        Raises:
            InputError: image, mask, hint or an option does not fit; says what does.
            DeviceError: the device fails, for instance for lack of memory.
        """
        pictures, masks, hints = (
            None if array is None else as_array(array, name)
            for array, name in ((image, given), (known_mask, "known_mask"), (hint, "hint"))
        )
        assert pictures is not None
        if pictures.ndim < len("NHWC"):
            return self._other_half(pictures, masks, hints, given, callback, notify, search)
        for array, name in ((masks, "known_mask"), (hints, "hint")):
            if array is not None and len(np.atleast_1d(array)) != len(pictures):
                raise InputError(
                    f"{name} has shape {list(array.shape)}, expected one for each of {len(pictures)} images"
                )
        if not len(pictures):
            raise InputError(f"{given} has shape {list(pictures.shape)}, expected at least one image")
        made = [
            self._other_half(
                picture,
                None if masks is None else masks[index],
                None if hints is None else hints[index],
                given,
                callback,
                notify,
                search,
            )
            for index, picture in enumerate(pictures)
        ]
        return np.stack(made)

    def _other_half(
        self,
        image: NDArray[Any],
        known_mask: NDArray[Any] | None,
        hint: NDArray[Any] | None,
        given: Direction,
        callback: Callback | None,
        notify: Notify | None,
        search: SearchOptions,
    ) -> NDArray[np.uint8]:
        joint = self.joint(image, known_mask, hint, given=given, notify=notify)
        sketch, photo = self.complete(*joint, callback=callback, **search).halves(given)
        return (photo if given == "sketch" else sketch).copy()

    def joint(
        self,
        image: ArrayLike,
        known_mask: ArrayLike | None = None,
        hint: ArrayLike | None = None,
        *,
        given: Direction = "sketch",
        notify: Notify | None = None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """What `complete` takes for one `image` of one half: joint image and mask; arguments as in `run`."""
        if given not in DIRECTIONS:
            raise InputError(f"given is {given!r}, expected 'sketch' (sketch → photo) or 'photo' (photo → sketch)")
        picture = as_array(image, given)
        drawing = check_drawing(picture, given, self.side, notify or ignore)
        known = check_known_mask(known_mask, picture.shape[:2])
        known = fit_to(known, self.side, "mask", ignore)
        if not known.any():
            raise InputError(f"known_mask is 0 everywhere at the engine's {self.side}×{self.side} pixels; mark more")
        hinted, weights = np.zeros_like(drawing), np.zeros_like(known)
        if hint is not None:
            hinted, weights = check_hint(hint, picture.shape[:2], self.side)
        halves, masks = [drawing, hinted], [known, weights]
        order = slice(None, None, 1 if given == "sketch" else -1)
        return np.concatenate(halves[order], 1), np.concatenate(masks[order], 1)

    def complete(
        self,
        observed: ArrayLike,
        known_mask: ArrayLike,
        *,
        callback: Callback | None = None,
        **search: Unpack[SearchOptions],
    ) -> Completion:
        """Complete a joint image of which any part is known.

        Args:
            observed: y, uint8 [side, 2·side, 3], sketch on the left; unknown pixels may hold anything.
            known_mask: M, bool or uint8 [side, 2·side], as in `run`.
            callback: as in `run`.
            **search: as in `run`.

        Raises:
            InputError: an array or an option does not fit.
            DeviceError: the device fails, for instance for lack of memory.
        """
        wanted = search_from(search)
        shape = (self.side, 2 * self.side)
        joint = as_array(observed, "observed")
        if joint.dtype != np.uint8 or joint.shape != (*shape, 3):
            raise InputError(
                f"observed is {joint.dtype} {list(joint.shape)}, expected a joint image [sketch | photo] at this "
                f"engine's size: uint8 {[*shape, 3]}"
            )
        known = check_known_mask(known_mask, shape)
        inputs: dict[str, NDArray[Any]] = {"observed": joint[None], "known_mask": known[None]}
        for name in ("learning_rate", "momentum", "perceptual_weight", "z_limit"):
            inputs[name] = np.array([getattr(wanted, name)], np.float32)
        inputs = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        z = self._start(inputs, wanted)
        progress = Progress(wanted, z)
        self._descend(inputs, z, wanted, progress, callback)
        return self._result(inputs, progress, joint, known)

    def _start(self, inputs: dict[str, NDArray[Any]], search: Search) -> Floats:
        """For each restart the best of N random z, [restarts, z_nc]."""
        starts = []
        for restart in range(search.restarts):
            # A restart's candidates are its own, whatever runs beside it.
            rng = np.random.default_rng([search.seed, restart])
            drawn = rng.uniform(-search.z_limit, search.z_limit, (search.candidates, self.z_nc))
            candidates = drawn.astype(np.float32)
            losses = self._look(inputs, candidates)["contextual_loss"]
            starts.append(candidates[losses.argmin()])
        return np.stack(starts)

    def _look(self, inputs: dict[str, NDArray[Any]], z: Floats) -> dict[str, NDArray[Any]]:
        """The engine's outputs for `z` [N, z_nc]; nothing moves."""
        rows = []
        for start in range(0, len(z), self._rows or len(z)):
            part = z[start : start + (self._rows or len(z))]
            outputs = self._engine.run(inputs | {"z": part, "velocity": np.zeros_like(part)})
            rows.append({name: self._checked(name, value, len(part)) for name, value in outputs.items()})
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def _descend(
        self,
        inputs: dict[str, NDArray[Any]],
        z: Floats,
        search: Search,
        progress: Progress,
        callback: Callback | None,
    ) -> None:
        # One loop a restart, not one batch of all: matrix products round otherwise for other batch sizes, and then a
        # result would depend on its mates.
        loops = [self._engine.loop(inputs | _state(row[None]), _CARRIED) for row in z]
        current = z
        for iteration in range(search.iterations + 1):
            for loop, is_settled in zip(loops, progress.settled, strict=True):
                if not is_settled:
                    loop.step()
            contextual, perceptual = (self._gather(loops, f"{name}_loss") for name in ("contextual", "perceptual"))
            if not np.isfinite(contextual).all() or not np.isfinite(perceptual).all():
                raise DeviceError(
                    f"engine {self._name}: step {iteration} gives losses that are not finite; lower learning_rate, "
                    f"now {search.learning_rate:g}"
                )
            progress.add(current, contextual, perceptual)
            current = self._gather(loops, "next_z")
            step = Step(iteration, search.iterations, contextual, perceptual, lambda: self._image(loops, progress))
            wants_end = callback is not None and callback(step)
            if wants_end or progress.settled.all():
                return

    def _gather(self, loops: list[Loop], name: str) -> NDArray[Any]:
        """An output of every loop, [restarts, …]."""
        return np.concatenate([self._checked(name, loop.fetch(name), 1) for loop in loops])

    def _image(self, loops: list[Loop], progress: Progress) -> NDArray[np.uint8]:
        """Of the best restart, uint8 [side, 2·side, 3]."""
        image: NDArray[np.uint8] = self._gather([loops[progress.winner]], "image")[0]
        return image

    def _checked(self, name: str, value: NDArray[Any], count: int) -> NDArray[Any]:
        """Raises EngineFormatError unless an output for `count` rows of z is what the specification says."""
        tensor = self.spec.output(name)
        assert tensor
        sizes = [axis for axis in tensor.shape[1:] if isinstance(axis, int)]  # all are: see `runtime.engines.kinds`
        require_output(self._name, name, value, tensor.dtype, (count, *sizes))
        return value

    def _result(
        self, inputs: dict[str, NDArray[Any]], progress: Progress, joint: NDArray[np.uint8], known: NDArray[np.uint8]
    ) -> Completion:
        winner = progress.winner
        z = progress.best_z[winner]
        made = self._look(inputs, z[None])["image"][0]
        return Completion(
            image=np.where(known[..., None] > 0, joint, made),
            made=made,
            z=z.copy(),
            contextual_loss=np.stack(progress.contextual),
            perceptual_loss=np.stack(progress.perceptual),
            restart=winner,
            iteration=int(progress.best_at[winner]),
        )


def _state(z: Floats) -> dict[str, NDArray[Any]]:
    return {"z": np.ascontiguousarray(z), "velocity": np.zeros_like(z)}
