//! Planted bugs by name.

use lockstep_client_core::planted::ClientBug;
use lockstep_core::planted::HubBug;

use crate::world::Bug;

/// Every bug that can be planted.
#[must_use]
pub fn all() -> Vec<Bug> {
    let hub = HubBug::ALL.iter().copied().map(Bug::Hub);
    hub.chain(ClientBug::ALL.iter().copied().map(Bug::Client)).collect()
}

/// A bug's name.
#[must_use]
pub fn name(bug: Bug) -> String {
    match bug {
        Bug::Hub(bug) => format!("{bug:?}"),
        Bug::Client(bug) => format!("{bug:?}"),
    }
}

/// The bug of a name.
///
/// # Errors
/// There is none.
pub fn find(wanted: &str) -> anyhow::Result<Bug> {
    let names = || all().into_iter().map(name).collect::<Vec<_>>().join(", ");
    all()
        .into_iter()
        .find(|bug| name(*bug) == wanted)
        .ok_or_else(|| anyhow::anyhow!("no bug {wanted}; there are {}", names()))
}
