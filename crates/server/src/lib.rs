//! Composition root: configuration, authentication, authorization, HTTP API.
