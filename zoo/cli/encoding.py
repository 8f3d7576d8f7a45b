"""`genae encode`: vectors of every row of a data set, in Parquet files."""

from dataclasses import asdict
from typing import Annotated

import typer

from zoo.cli.common import Device, Json, Model, Quiet, hint, print_json, say
from zoo.hints import command


def encode(
    model: Model,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Folder of images, file or folder of Parquet, JSON lines, CSV or text, name of a "
            "data set, Hub id, or address such as s3://bucket/folder.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Folder of the vectors, or its address."
        ),
    ],
    split: Annotated[str, typer.Option(help="Split of a data set; a file is train.")] = "train",
    config: Annotated[
        str | None, typer.Option(help="Configuration of a data set that has several.")
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(help="Column of the images or texts; image or text if not given."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Column of keys; paths of images or numbers of rows if not given."),
    ] = None,
    tap: Annotated[
        str | None, typer.Option(help="Layer of an encoder of images; the code if not given.")
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(
            help="Pooling of texts: cls, pooler, last-avg, first-last-avg or max; the model's own "
            "if not given."
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            "--max-length", min=1, help="Number of tokens read; as many as the model can."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", min=1, help="Rows in a batch; 32 texts, up to 1,024 images."),
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="Type of the stored numbers: float32 or float16.")
    ] = "float32",
    precision: Annotated[
        str, typer.Option(help="Precision of the computation: float32 or bfloat16.")
    ] = "float32",
    device: Device = None,
    rows_per_shard: Annotated[
        int, typer.Option("--shard-size", min=1, help="Number of rows in a file.")
    ] = 16_384,
    workers: Annotated[
        int,
        typer.Option(min=0, help="Number of processes that decode images; 0 for threads."),
    ] = 0,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="Read a data set of the Hub without copying it.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first row that cannot be read.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a vector for each row of a data set; a run that was killed goes on."""
    from zoo import gathering
    from zoo.encoding.making import shown
    from zoo.encoding.run import encode as make

    with gathering.joined():
        found = make(
            model,
            data,
            output,
            split=split,
            config=config,
            column=column,
            key=key,
            tap=tap,
            pooling=pooling,
            max_length=max_length,
            batch_size=batch_size,
            dtype=dtype,
            precision=precision,
            device=device,
            rows_per_shard=rows_per_shard,
            workers=workers,
            streaming=streaming,
            strict=strict,
            quiet=quiet,
        )
    if as_json:
        print_json(asdict(found))
        return
    if not found.complete:
        typer.echo(f"{output}: {found.made:,} rows done here, others by other processes")
        return
    rows = "row" if found.skipped == 1 else "rows"
    skipped = f", {found.skipped:,} {rows} skipped" if found.skipped else ""
    typer.echo(f"{output}: {found.vectors:,} vectors of {found.size} numbers{skipped}")
    if found.skipped:
        for one in found.first_skipped:
            say(shown(one))
        if found.skipped > len(found.first_skipped):
            say(f"... all are listed in {output}/skipped.jsonl")
    line = command("genae", "neighbors", model, "--index", output, "--key", found.first_key or "")
    hint(line, quiet=quiet)
