//! Development only: virtual clock, seeded randomness, simulated disk, golden vectors.
