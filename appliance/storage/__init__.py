"""All SQL: the engine, the tables' functions by domain, migrations, the stream."""
