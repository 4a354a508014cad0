"""What users hold, as Arrow columns of declared types: the one conversion, by the policy of docs/types.md."""
