#!/usr/bin/python3
"""Is INSTANCE what SCHEMA says, with no field that SCHEMA does not name? check_schema.py SCHEMA INSTANCE"""

import json
import sys

from jsonschema import Draft202012Validator


def close(schema):
    """Refuse what is not documented; readers of the files need to bear it."""
    for child in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(child, (dict, list)):
            close(child)
    if isinstance(schema, dict) and isinstance(schema.get("properties"), dict) and "type" in schema:
        schema.setdefault("additionalProperties", False)


with open(sys.argv[1], encoding="utf-8") as f:
    schema = json.load(f)
with open(sys.argv[2], encoding="utf-8") as f:
    instance = json.load(f)
Draft202012Validator.check_schema(schema)
close(schema)
errors = list(Draft202012Validator(schema).iter_errors(instance))
for error in errors[:10]:
    print(f"{sys.argv[2]}: {'/'.join(map(str, error.absolute_path))}: {error.message}")
sys.exit(bool(errors))
