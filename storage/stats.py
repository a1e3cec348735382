"""Counts of everything, for `vidpref stats` and `GET /api/v1/stats`."""

from storage.reading import rows
from storage.store import Store

Counts = dict[str, int]
Stats = dict[str, int | dict[str, Counts]]

_TOTALS = {
    "prompts": "prompt",
    "videos": "video",
    "generators": "generator",
    "raters": "rater",
    "pairs": "pair",
    "judgments": "current_judgment",
    "ratings": "current_rating",
    "datasets": "dataset",
    "runs": "run",
    "rounds": "round",
}

_GROUPS = {
    "by_category": """
        WITH named AS (SELECT prompt_id, unnest(categories) AS name FROM prompt)
        SELECT name, 'prompts', count(*) FROM named GROUP BY name
        UNION ALL SELECT name, 'videos', count(*) FROM named JOIN video USING (prompt_id) GROUP BY name
        UNION ALL SELECT name, 'pairs', count(*) FROM named JOIN pair USING (prompt_id) GROUP BY name
        UNION ALL SELECT name, 'judgments', count(*)
            FROM named JOIN pair USING (prompt_id) JOIN current_judgment USING (pair_id) GROUP BY name
        UNION ALL SELECT name, 'ratings', count(*)
            FROM named JOIN video USING (prompt_id) JOIN current_rating USING (video_id) GROUP BY name
        UNION ALL SELECT category, 'datasets', count(*)
            FROM dataset WHERE category IS NOT NULL GROUP BY category
        UNION ALL SELECT category, 'rounds', count(*) FROM round GROUP BY category
    """,
    "by_generator": """
        SELECT name, 'videos', count(video_id)
            FROM generator LEFT JOIN video USING (generator_id) GROUP BY name
        UNION ALL SELECT name, 'with_media', count(media_id)
            FROM generator LEFT JOIN video USING (generator_id) LEFT JOIN video_media USING (video_id)
            GROUP BY name
        UNION ALL SELECT name, 'ratings', count(rating_id)
            FROM generator LEFT JOIN video USING (generator_id) LEFT JOIN current_rating USING (video_id)
            GROUP BY name
    """,
    "by_rater": """
        SELECT name, 'judgments', count(judgment_id)
            FROM rater LEFT JOIN current_judgment USING (rater_id) GROUP BY name
        UNION ALL SELECT name, 'pairs', count(DISTINCT pair_id)
            FROM rater LEFT JOIN current_judgment USING (rater_id) GROUP BY name
        UNION ALL SELECT name, 'ratings', count(rating_id)
            FROM rater LEFT JOIN current_rating USING (rater_id) GROUP BY name
    """,
    "by_round": """
        SELECT round::VARCHAR, 'generators', count(*) FROM generator GROUP BY round
        UNION ALL SELECT generator.round::VARCHAR, 'videos', count(*)
            FROM generator JOIN video USING (generator_id) GROUP BY generator.round
        UNION ALL SELECT round::VARCHAR, 'pairs', count(*) FROM pair GROUP BY round
        UNION ALL SELECT pair.round::VARCHAR, 'judgments', count(*)
            FROM pair JOIN current_judgment USING (pair_id) GROUP BY pair.round
    """,
}

_COLUMNS = {
    "by_category": ("prompts", "videos", "pairs", "judgments", "ratings", "datasets", "rounds"),
    "by_generator": ("videos", "with_media", "ratings"),
    "by_rater": ("judgments", "pairs", "ratings"),
    "by_round": ("generators", "videos", "pairs", "judgments"),
}


def stats(store: Store) -> Stats:
    """Return the number of each kind of thing, and the same by category, generator, rater and round.

    Replaced judgments and ratings are not counted. A prompt with several categories counts in each.
    """
    union = " UNION ALL ".join(
        f"SELECT '{word}', count(*) FROM \"{table}\"" for word, table in _TOTALS.items()
    )
    counted = dict(rows(store, union))
    result: Stats = {word: int(counted[word]) for word in _TOTALS}
    for group, sql in _GROUPS.items():
        result[group] = _grouped(rows(store, sql), _COLUMNS[group])
    return result


def _grouped(found: list[tuple[str, str, int]], columns: tuple[str, ...]) -> dict[str, Counts]:
    names = sorted({name for name, _, _ in found})
    result: dict[str, Counts] = {name: dict.fromkeys(columns, 0) for name in names}
    for name, word, number in found:
        result[name][word] = number
    return result
