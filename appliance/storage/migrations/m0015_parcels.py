"""One-time keys line by line, so that one is found without reading how long all before it are."""

STATEMENTS: tuple[str, ...] = (
    # What was a line of pairs, id and length, and then the keys, becomes a line of ids and a line for each key.
    """UPDATE one_time_packs SET keys = (
        SELECT CAST(json_group_array(id) || char(10) || group_concat(CAST(key AS TEXT), char(10)) AS BLOB) FROM (
            SELECT json_extract(named.value, '$[0]') AS id, substr(one_time_packs.keys,
                instr(one_time_packs.keys, X'0A') + 1 + sum(json_extract(named.value, '$[1]')) OVER (ORDER BY named.key)
                - json_extract(named.value, '$[1]'), json_extract(named.value, '$[1]')) AS key
            FROM json_each(CAST(substr(one_time_packs.keys, 1, instr(one_time_packs.keys, X'0A')) AS TEXT)) named
            ORDER BY named.key
        )
    )""",
    # Digests of keys that were given out before there were packs, against a repetition of their upload.
    "DROP TABLE claimed_keys",
)
