//! Seeded simulator of one hub and many devices on virtual time, with checkers.
//!
//! A seed draws a [`Scenario`](scenario::Scenario); a [`World`](world::World) runs it: the real cores of hub and
//! devices, and models of everything around them ([`store`], [`worker`], [`link`]). [`Checker`](checker::Checker)
//! watches every frame and every batch against a plain [`model`] of its own, and looks at everything when all is quiet.
//! The same seed always gives the same run, so its number replays a failure.

pub mod checker;
pub mod hostile;
pub mod link;
pub mod local;
pub mod model;
pub mod planted;
pub mod rng;
pub mod scenario;
pub mod script;
pub mod seed;
pub mod shrink;
pub mod store;
pub mod trace;
pub mod words;
pub mod worker;
pub mod world;
