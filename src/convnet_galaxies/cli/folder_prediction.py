"""`predict` into a folder."""

from __future__ import annotations

from convnet_galaxies.cli.options import progress_bar, report_session


def predict_into_folder(  # type: ignore[no-untyped-def]
    run, source, output, views, grey, reading, device, limit, skip_bad, cluster, part, quiet, as_json
) -> None:
    """Predict the images of a source into the folder output, or go on with it; the options are those of `predict`.

    reading: gives the ReadOptions for a predictor.
    """
    from convnet_galaxies.predict.predictor import Predictor
    from convnet_galaxies.scan.images import plan_images
    from convnet_galaxies.scan.plan import planned_precision
    from convnet_galaxies.scan.run import Part
    from convnet_galaxies.scan.session import work_through

    share = Part.read(part)
    predictor = Predictor(
        run,
        device=device.value,
        views=None if views is None else int(views.value),  # type: ignore[arg-type]
        precision=planned_precision(output),
        grey=grey,
    )
    plan, notes = plan_images(predictor, source, reading=reading(predictor), skip_bad=skip_bad, limit=limit)
    with progress_bar("Predicting", quiet=quiet) as update:
        summary = work_through(
            output,
            plan,
            predictor,
            notes=notes,
            part=share,
            cluster=cluster,
            progress=lambda found: update(found.done + found.failed, found.shards, f"{found.images:,} images, shards"),
        )
    report_session(summary, quiet=quiet, as_json=as_json)
