//! The audit event: parse, validate, normalise, field places, mappers per source kind.
