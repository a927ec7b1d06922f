//! From a request to durable entries.
