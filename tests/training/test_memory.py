"""What the third stage at 2048×1024 keeps for its backward pass, counted without computing (torch's meta device)."""

import pytest
import torch

from training.losses import feature_matching_loss, gan_loss
from training.networks.patchgan import MultiScaleDiscriminator
from training.networks.pix2pixhd import Architecture, build

GIB = 2**30
CARD_BYTES = 24 * GIB
STATE_BYTES_PER_PARAMETER = 16  # float32 weight, gradient and Adam's two moments


def saved_bytes(checkpointing):
    """Bytes of activations that autograd holds after one forward pass of generator and discriminators, in float32."""
    networks = {}
    saved = {}

    def pack(tensor):
        whole = tensor if tensor._base is None else tensor._base
        if not any(whole is p for n in networks.values() for p in n.parameters()):
            saved[id(whole)] = whole  # kept alive, so that no id is used twice
        return tensor

    with torch.device("meta"), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        networks["generator"] = build(Architecture(ngf=32, n_enhancers=1))["generator"].train()
        networks["critic"] = MultiScaleDiscriminator(36 + 3, num_scales=3)
        networks["generator"].use_checkpointing = checkpointing
        condition, real = torch.zeros(1, 36, 1024, 2048), torch.zeros(1, 3, 1024, 2048)
        fake = networks["generator"](condition)
        judged = networks["critic"](torch.cat([condition, fake], 1))
        both = networks["critic"](torch.cat([torch.cat([condition, i], 1) for i in (fake.detach(), real)]))
        seen_real = [[layer[1:] for layer in scale] for scale in both]
        losses = (
            gan_loss(judged, True, "lsgan") + feature_matching_loss(judged, seen_real) + gan_loss(both, False, "lsgan")
        )
    assert losses.requires_grad
    state = sum(p.numel() for n in networks.values() for p in n.parameters()) * STATE_BYTES_PER_PARAMETER
    return sum(t.numel() * t.element_size() for t in saved.values()), state


def test_full_resolution_fits_a_24_gb_card():
    plain, _ = saved_bytes(checkpointing=False)
    saving, state = saved_bytes(checkpointing=True)
    assert saving < 0.7 * plain
    # Half of the card stays free for the recomputed segment, workspaces and the fragmentation of an allocator.
    assert saving + state < CARD_BYTES / 2, f"{saving / GIB:.1f} + {state / GIB:.1f} GiB"
    assert saving / GIB == pytest.approx(6.5, abs=1.0), "the figure of training/README.md"
