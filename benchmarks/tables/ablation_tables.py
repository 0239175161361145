"""Tables of the ablations: trained variants, their cost, and dense motion with other settings."""

from benchmarks.dense_ablation import table as dense_table
from benchmarks.tables.result_files import Tables, read, read_lines, source, table
from benchmarks.temporal.markdown_table import markdown
from benchmarks.temporal.variants import VARIANTS


def _trained(name: str) -> str:
    lines = [line | {"about": VARIANTS[line["name"]].about} for line in read_lines(name)]
    budget = lines[0]["budget"]
    about = (
        f"{lines[0]['device']}, {budget['steps']:,} steps of {budget['batch']} clips, "
        f"{budget['samples']:,} clips scored"
    )
    return markdown(lines).rstrip("\n") + source(f"{name}.jsonl", about=about)


def ablation_long() -> str:
    """Variants trained for half as long as the shipped weights, with all disturbances."""
    return _trained("ablation_long")


def ablation_long_shift() -> str:
    """The variant with channel shift, whose training was stopped early."""
    return _trained("ablation_long_shift")


def ablation_short() -> str:
    """The contribution of each part of the network, from short trainings."""
    return _trained("ablation_short")


def ablation_cost() -> str:
    """The cost of a step for each variant."""
    rows = [
        [
            f"`{line['name']}`",
            f"{line['over_ours']:.2f}",
            f"{line['over_resnet']:.2f}",
            f"{line['step_ms']:.1f}",
            f"{line['gflops']:.2f}",
            f"{line['cache_kib']:.0f} KiB",
        ]
        for line in read_lines("ablation_cost")
    ]
    head = ["variant", "step / ours", "step / plain ResNet-18", "step ms", "GFLOPs", "cache"]
    device = read_lines("ablation_cost")[0]["device"]
    return table(head, rows) + source("ablation_cost.jsonl", about=f"{device}, eager torch, float32, 192 px")


def dense_ablation() -> str:
    """Accuracy of dense motion from the same weights with other settings."""
    document = read("dense_ablation")
    about = f"every {document['every']}th frame"
    return dense_table(document) + source("dense_ablation.json", about=about)


def dense_ablation_shadows() -> str:
    """Accuracy of dense motion after further training with and without shadows."""
    document = read("dense_ablation_shadows")
    about = f"every {document['every']}th frame"
    return dense_table(document) + source("dense_ablation_shadows.json", about=about)


TABLES: Tables = {
    "ablation_long": ablation_long,
    "ablation_long_shift": ablation_long_shift,
    "ablation_short": ablation_short,
    "ablation_cost": ablation_cost,
    "dense_ablation": dense_ablation,
    "dense_ablation_shadows": dense_ablation_shadows,
}
