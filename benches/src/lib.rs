//! Stages for the benches in `benches/`: what is measured stands there, what surrounds it here.

pub mod hub_stage;
