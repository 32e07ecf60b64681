import math
import os
import signal
import threading

import pytest
import torch

from mrcnn_edu.mistakes import switched_on
from mrcnn_edu.training import CheckpointError, NonFiniteLossError, evaluate, load_checkpoint, read_table, train
from mrcnn_edu.training.checkpoint import save_checkpoint
from mrcnn_edu.training.loop import loss_columns
from mrcnn_edu.training.state import LOSSES

from .tiny import Hooked, Noisy, run, same_tensors, tiny_model, tiny_settings, tiny_shapes


def untimed(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_losses_fall_and_land_on_disk(tmp_path):
    _, result = run(dataset=tiny_shapes(length=2), out=tmp_path / "new" / "run", steps=30, lr=0.01, checkpoint_every=0)
    first, last = (sum(row["loss"] for row in rows) for rows in (result.losses[:5], result.losses[-5:]))
    assert last < 0.8 * first
    rows = read_table(tmp_path / "new" / "run" / "losses.csv")
    assert rows == result.losses and [row["step"] for row in rows] == list(range(1, 31))
    assert tuple(rows[0]) == loss_columns(tiny_model())
    for row in rows:
        assert row["loss"] == pytest.approx(sum(row[name] for name in LOSSES), rel=1e-6)
        assert row["seconds"] > 0 and row["grad_norm"] > 0
    assert load_checkpoint(result.checkpoint)["step"] == result.step == 30


def test_the_same_seed_gives_the_same_result_and_another_does_not():
    a, first = run(ema=0.9)
    torch.rand(5)
    b, second = run(ema=0.9)
    c, _ = run(ema=0.9, seed=1)
    assert same_tensors(a.state_dict(), b.state_dict()) and untimed(first.losses) == untimed(second.losses)
    assert not same_tensors(a.state_dict(), c.state_dict())


def test_workers_validation_and_checkpoints_change_nothing(tmp_path):
    plain, _ = run(checkpoint_every=0)
    workers, _ = run(workers=2)
    watched, result = run(out=tmp_path, val=Noisy(tiny_shapes(2, seed=9)), eval_every=2, checkpoint_every=1)
    assert same_tensors(plain.state_dict(), workers.state_dict())
    assert same_tensors(plain.state_dict(), watched.state_dict())
    assert [row["step"] for row in result.metrics] == [2, 4, 6]


def test_metrics_are_those_of_the_model_at_that_step(tmp_path):
    val = tiny_shapes(4, seed=9)
    model, result = run(out=tmp_path, val=val, eval_every=4, ema=0.5)
    rows = read_table(tmp_path / "metrics.csv")
    assert [row["step"] for row in rows] == [4, 6] and rows == result.metrics
    scores = evaluate(model, val)
    figures = {f"{kind}_{name}": value for kind, group in scores.items() for name, value in group.items()}
    written = {name: value for name, value in rows[-1].items() if name not in ("step", "seconds")}
    assert written == {name: figures[name] for name in written} and len(written) == 6


@pytest.mark.parametrize("stop", [0, 1, 3, 5])
def test_a_stopped_run_goes_on_bit_identically(tmp_path, stop):
    settings = {"ema": 0.9, "val": tiny_shapes(2, seed=9), "eval_every": 2}
    whole, reference = run(out=tmp_path / "whole", **settings)
    if stop:
        dataset = Hooked(Noisy(tiny_shapes()), interrupt_at(2 * stop))
        dataset.name = "shapes"
        _, result = run(out=tmp_path / "cut", dataset=dataset, **settings)
        assert result.interrupted and result.step == stop
    resumed, result = run(model=tiny_model(seed=99 if stop else 0), out=tmp_path / "cut", resume=True, **settings)
    assert not result.interrupted and result.step == 6
    assert same_tensors(whole.state_dict(), resumed.state_dict())
    assert untimed(result.losses) == untimed(reference.losses)
    assert untimed(result.metrics) == untimed(reference.metrics)
    a, b = (load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("whole", "cut"))
    assert same_tensors(a, b)


def interrupt_at(item):
    """A hook that presses Ctrl-C before the item with that number; the checker looks at all seven once before."""
    served = iter(range(-7, 10**6))

    def hook(index):
        if next(served) == item:
            os.kill(os.getpid(), signal.SIGINT)

    return hook


def test_a_finished_run_resumes_to_itself(tmp_path):
    model, first = run(out=tmp_path, ema=0.9)
    again, second = run(model=tiny_model(seed=5), out=tmp_path, resume=True, ema=0.9)
    assert second.losses == first.losses and same_tensors(model.state_dict(), again.state_dict())


def test_ctrl_c_within_an_update_waits_for_its_end(tmp_path):
    model = tiny_model()
    forward, calls = model.loss, iter(range(100))

    def loss(*arguments):
        if next(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return forward(*arguments)

    model.loss = loss
    _, result = run(model=model, out=tmp_path)
    assert result.interrupted and result.step == 3 == len(result.losses)
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_update_that_was_cut_is_not_saved(tmp_path):
    model = tiny_model()
    forward, calls = model.loss, iter(range(100))

    def loss(*arguments):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return forward(*arguments)

    model.loss = loss
    _, result = run(model=model, out=tmp_path)
    assert result.interrupted and load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 2


def test_training_runs_in_another_thread_too():
    results = []
    thread = threading.Thread(target=lambda: results.append(run(steps=2)[1].step))
    thread.start()
    thread.join()
    assert results == [2]


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_non_finite_loss_names_step_images_and_checkpoint(tmp_path, where):
    model = tiny_model()
    forward, calls = model.loss, iter(range(100))

    def loss(*arguments):
        losses = forward(*arguments)
        if next(calls) == 4:
            bad = losses["loss_mask"]
            # The root of zero: a finite loss whose gradient is infinite.
            losses["loss_mask"] = bad * math.nan if where == "loss" else bad + (bad - bad.detach()).sqrt()
        return losses

    model.loss = loss
    dataset = tiny_shapes()
    with pytest.raises(NonFiniteLossError) as caught:
        run(model=model, dataset=dataset, out=tmp_path)
    error = caught.value
    assert error.step == 5 and error.checkpoint == tmp_path / "checkpoint.pt"
    assert len(error.images) == 2 and all(name.startswith("shapes seed 0 image ") for name in error.images)
    message = str(error)
    assert "step 5: " in message and ("loss_mask = nan" if where == "loss" else "grad_norm = ") in message
    assert str(error.checkpoint) in message and all(name in message for name in error.images)
    assert all(torch.isfinite(value).all() for value in load_checkpoint(error.checkpoint)["model"].values())
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_out_of_memory_says_what_to_lower():
    model = tiny_model()

    def loss(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    model.loss = loss
    with pytest.raises(torch.cuda.OutOfMemoryError) as caught:
        run(model=model)
    for word in ("training step 1", "Lower batch (now 2)", "min_size (now (48,))", "max_size (now 64)",
                 "rpn_post_nms_top_n_train (now 30)", "amp"):  # fmt: skip
        assert word in str(caught.value)


def test_other_runtime_errors_stay_what_they_are():
    model = tiny_model()

    def loss(*_):
        raise RuntimeError("a bug")

    model.loss = loss
    with pytest.raises(RuntimeError, match="^a bug$"):
        run(model=model)


def test_a_run_is_not_overwritten_unless_asked(tmp_path):
    run(out=tmp_path, steps=2)
    before = (tmp_path / "losses.csv").read_text()
    with pytest.raises(FileExistsError, match="already holds a run: resume it, choose another folder, or overwrite"):
        run(out=tmp_path, steps=2)
    assert (tmp_path / "losses.csv").read_text() == before
    _, result = run(out=tmp_path, steps=3, overwrite=True)
    assert len(result.losses) == 3


def test_resume_needs_a_folder():
    with pytest.raises(ValueError, match="resume needs the folder"):
        run(resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"fpn_channels": 16}}, "fpn_channels 8, this run has 16"),
        ({"lr": 0.5}, "setting lr 0.02, this run has 0.5"),
        ({"batch": 1}, "setting batch 2, this run has 1"),
        ({"seed": 3}, "setting seed 0, this run has 3"),
        ({"mistake": "round_roi"}, "setting mistake None, this run has 'round_roi'"),
        ({"steps": 1}, "steps done 2, this run has 1"),
        ({"dataset": tiny_shapes(length=9)}, "data set's length 7, this run has 9"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, message):
    run(out=tmp_path, steps=2)
    change = dict(change)
    model = tiny_model(**change.pop("model", {}))
    with pytest.raises(CheckpointError, match=f"checkpoint.pt was made with .*{message}"):
        run(model=model, out=tmp_path, resume=True, **{"steps": 2, **change})


def test_a_mistake_is_on_during_the_run_its_evaluation_and_its_resume(tmp_path):
    seen = []

    def look(index):
        seen.append([swap.name for swap in switched_on()])

    val = Hooked(tiny_shapes(length=2), look)
    sound, _ = run(out=tmp_path / "sound")
    whole, _ = run(out=tmp_path / "whole", mistake="round_roi", val=val)
    assert switched_on() == [] and seen and all(names == ["round_roi"] for names in seen)
    assert not same_tensors(sound.state_dict(), whole.state_dict())
    _, cut = run(dataset=Hooked(Noisy(tiny_shapes()), interrupt_at(6)), out=tmp_path / "cut", mistake="round_roi")
    assert cut.interrupted and switched_on() == []
    resumed, _ = run(out=tmp_path / "cut", resume=True, mistake="round_roi")
    assert same_tensors(whole.state_dict(), resumed.state_dict())
    with pytest.raises(CheckpointError, match="setting mistake 'round_roi', this run has None"):
        run(out=tmp_path / "cut", resume=True)


def test_a_mistake_that_does_not_exist_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="no mistake 'no_such'"):
        run(out=tmp_path / "run", mistake="no_such")
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_from_before_a_setting_existed_had_its_default(tmp_path):
    _, result = run(out=tmp_path, steps=2)
    saved = load_checkpoint(result.checkpoint)
    del saved["settings"]["mistake"]
    save_checkpoint(result.checkpoint, {name: value for name, value in saved.items() if name != "format"})
    run(out=tmp_path, resume=True, steps=2)
    with pytest.raises(CheckpointError, match="setting mistake None, this run has 'roi_pool'"):
        run(out=tmp_path, resume=True, steps=2, mistake="roi_pool")


def test_weights_that_do_not_fit_are_refused_even_without_a_config(tmp_path):
    run(out=tmp_path, steps=2)
    model = tiny_model()
    model.extra = torch.nn.Linear(2, 2)
    with pytest.raises(CheckpointError, match="does not fit this run's model.*extra"):
        run(model=model, out=tmp_path, resume=True, steps=2)


def test_a_longer_plan_warns_and_goes_on(tmp_path):
    run(out=tmp_path, steps=2)
    with pytest.warns(UserWarning, match="planned for 2 steps, now 4"):
        _, result = run(out=tmp_path, resume=True, steps=4)
    assert [row["step"] for row in result.losses] == [1, 2, 3, 4]


def test_a_damaged_checkpoint_stops_the_resume_and_stays(tmp_path):
    run(out=tmp_path, steps=2)
    path = tmp_path / "checkpoint.pt"
    content = path.read_bytes()[:-2000]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read, it may be truncated"):
        run(out=tmp_path, resume=True, steps=2)
    assert path.read_bytes() == content and len(read_table(tmp_path / "losses.csv")) == 2


def test_a_table_changed_by_hand_stops_the_resume(tmp_path):
    run(out=tmp_path, steps=2)
    (tmp_path / "losses.csv").unlink()
    with pytest.raises(CheckpointError, match="0 of the 2 rows.*changed by hand"):
        run(out=tmp_path, resume=True, steps=2)


def test_a_full_disk_ends_the_run_and_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    from mrcnn_edu.training import checkpoint

    from .test_checkpoint import FullDisk

    save = checkpoint.save_checkpoint

    def save_when_full(path, state):
        with monkeypatch.context() as patch:
            if state["step"] == 4:
                patch.setattr("builtins.open", FullDisk(30_000))
            save(path, state)

    monkeypatch.setattr("mrcnn_edu.training.loop.save_checkpoint", save_when_full)
    with pytest.raises(CheckpointError, match="No space left on device; the last good one is still at"):
        run(out=tmp_path)
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 2
    monkeypatch.undo()
    whole, _ = run()
    resumed, _ = run(out=tmp_path, resume=True)
    assert same_tensors(whole.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("settings", [{"amp": "bfloat16"}, {"optimizer": "adamw", "lr": 1e-3}, {"clip": None},
                                      {"schedule": "step"}, {"channels_last": False}])  # fmt: skip
def test_every_kind_of_run_learns(settings):
    _, result = run(dataset=tiny_shapes(length=2), **{"steps": 16, "lr": 0.01, **settings})
    assert sum(r["loss"] for r in result.losses[-4:]) < sum(r["loss"] for r in result.losses[:4])


def test_the_gradient_scaler_of_float16_goes_through_a_resume(tmp_path):
    whole, first = run(amp="float16")
    run(out=tmp_path, amp="float16", dataset=cut(3))
    resumed, second = run(out=tmp_path, amp="float16", resume=True)
    assert load_checkpoint(tmp_path / "checkpoint.pt")["scaler"]["scale"] > 0
    assert same_tensors(whole.state_dict(), resumed.state_dict()) and untimed(first.losses) == untimed(second.losses)


def cut(step):
    dataset = Hooked(Noisy(tiny_shapes()), interrupt_at(2 * step))
    return dataset


def test_the_running_average_is_what_it_says():
    model = tiny_model()
    seen, forward = [], model.loss

    def loss(*arguments):
        seen.append(model.rpn.head.cls_logits.bias.detach().clone())
        return forward(*arguments)

    model.loss = loss
    train(model, tiny_shapes(), tiny_settings(steps=3, ema=0.05, lr=0.5), progress=False)
    average = seen[0]
    for step, weights in enumerate([*seen[1:]], start=1):
        average = average + (weights - average) * (1 - min(0.05, step / (step + 10)))
    final = model.rpn.head.cls_logits.bias.detach()
    # The last weights are not seen by `loss`; they lie where the average's last move points to.
    last = average + (final - average) / 0.95
    assert not torch.equal(final, average) and torch.isfinite(last).all()
    checkpointed = tiny_model()
    train(checkpointed, tiny_shapes(), tiny_settings(steps=3, ema=None, lr=0.5), progress=False)
    torch.testing.assert_close(checkpointed.rpn.head.cls_logits.bias.detach(), last)
