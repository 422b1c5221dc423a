//! No core dumps: they would hold keys and messages in the clear.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// From now on no core of this process is written, and no other process of this user may read its memory.
pub(crate) fn forbid() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // A service manager may have set the limit, and let nobody touch it.
    let limited = match getrlimit(Resource::Core).current {
        Some(0) => Ok(()),
        _ => setrlimit(Resource::Core, none),
    };
    for forbidden in [limited, set_dumpable_behavior(DumpableBehavior::NotDumpable)] {
        if let Err(error) = forbidden {
            tracing::warn!(%error, "core dumps could not be forbidden: one would hold keys and messages in the clear");
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn a_process_without_dumps() {
        forbid();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
