"""Why tests of this folder are skipped where they are."""

REASON = "the extra mcp is not installed: pip install 'orchestratord[mcp]'"
