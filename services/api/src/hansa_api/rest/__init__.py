"""REST below `/api/v1`: decimal wei, RFC 3339 times, checksummed addresses, cursor pages, problem JSON (RFC 9457)."""
