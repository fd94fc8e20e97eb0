"""Draws: ``python -m bench.plot bars|curves DATA.json PICTURE.svg``, in an environment that has matplotlib."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

_OURS, _PEER, _GREY = "#c2410c", "#475569", "#94a3b8"
#: The same results give the same file, byte for byte; text stays text.
_STYLE = {
    "svg.hashsalt": "smsq",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def _known(values: list[float | None]) -> list[float]:
    return [value or 0.0 for value in values]


def bars(data: dict[str, Any]) -> Any:  # noqa: ANN401 - matplotlib has no types
    """Draws jobs a second and CPU a job, with what each is of ours."""
    panels = (
        ("rates", "jobs/s, gateway at once"),
        ("rates_50", "jobs/s, gateway 50 ms"),
        ("cpu", "worker CPU, ms a job"),
    )
    height = 0.32 * len(data["labels"]) + 1
    figure, axes = plt.subplots(1, len(panels), figsize=(11, height), sharey=True, layout="constrained")
    places = range(len(data["labels"]))
    for axis, (name, title) in zip(axes, panels, strict=True):
        values = _known(data[name])
        ours = values[data["ours"]]
        drawn = axis.barh(places, values, color=[_OURS if place == data["ours"] else _PEER for place in places])
        labels = [f"{value:,.3g}" if value < 100 else f"{value:,.0f}" for value in values]
        ratios = [
            f" {label} ({value / ours:.2f}×)" if ours else f" {label}"
            for label, value in zip(labels, values, strict=True)
        ]
        axis.bar_label(drawn, ratios, fontsize=7)
        axis.set_title(title, loc="left", fontsize=9)
        axis.set_xlim(0, max(values, default=1) * 1.35 or 1)
    axes[0].set_yticks(places, data["labels"])
    axes[0].invert_yaxis()
    return figure


def curves(data: dict[str, Any]) -> Any:  # noqa: ANN401
    """Draws what waits against what it costs, and workers against throughput."""
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.2), layout="constrained")
    waiting = data["waiting"]
    axes[0].plot(waiting, _known(data["job_commands"]), "o-", color=_OURS, label="sent")
    axes[0].plot(waiting, _known(data["job_inner_commands"]), "o-", color=_PEER, label="within scripts")
    axes[0].set_title("Redis commands a job", loc="left", fontsize=9)
    axes[1].plot(waiting, _known(data["bytes"]), "o-", color=_OURS)
    axes[1].set_title("bytes a waiting job", loc="left", fontsize=9)
    styles = {"paused": "o-", "limited": "s--", "scheduled": "^:"}
    for case, style in styles.items():
        axes[2].plot(waiting, _known(data[f"{case}_redis_cpu_ms"]), style, color=_PEER, label=f"Redis, {case}")
        axes[2].plot(waiting, _known(data[f"{case}_worker_cpu_ms"]), style, color=_OURS, label=f"worker, {case}")
    axes[2].set_title("CPU with nothing to call for, ms/s", loc="left", fontsize=9)
    for axis in axes[:3]:
        axis.set_xscale("log")
        axis.set_ylim(bottom=0)
        axis.set_xlabel("waiting jobs")
    for (slots, rates), color in zip(data["workers"].items(), (_OURS, _PEER), strict=True):
        axes[3].plot([1, 2, 4], _known(rates), "o-", color=color, label=f"{slots} slots each")
        axes[3].plot([1, 2, 4], [_known(rates)[0] * count for count in (1, 2, 4)], ":", color=_GREY)
    axes[3].set_title("jobs/s, gateway 200 ms (dotted: in step)", loc="left", fontsize=9)
    axes[3].set_xlabel("workers")
    axes[3].set_ylim(bottom=0)
    for axis in (axes[0], axes[2], axes[3]):
        axis.legend(fontsize=7, frameon=False)
    return figure


def main(kind: str, data: Path, picture: Path) -> None:
    """Draws one picture."""
    mpl.use("svg")
    with mpl.rc_context(_STYLE):
        figure = {"bars": bars, "curves": curves}[kind](json.loads(data.read_text()))
        figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
