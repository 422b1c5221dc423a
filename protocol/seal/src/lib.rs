//! Sealing at rest: everything that a hub or a device keeps is a [record](mod@record) under a data key, data keys lie
//! wrapped in one small [file](KeyFile), and what wraps them comes from the [root key](RootKey).
//!
//! ```text
//! root key ─ HKDF(hub id ‖ generation ‖ class) ─▶ key-encryption keys ─ wrap ─▶ data keys ─ HKDF(salt, context) ─▶ records
//! ```
//!
//! Bytes in, bytes out: random bytes are arguments, files belong to the caller. Whoever destroys a data key has
//! destroyed what is sealed under it, wherever the key file is current. DESIGN section 8.

mod file;
mod key;
pub mod record;
mod ring;
mod root;

pub use file::{KeyFile, KeyFileError};
pub use key::{Class, DataKey, DataKeyId, FRESH_KEY_BYTES};
pub use record::{Place, RecordError, SALT_BYTES};
pub use ring::{KeyRing, POOL_MIN};
pub use root::{Passphrase, PassphraseError, RootKey};
