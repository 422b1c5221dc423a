//! Proofs of identity: what a device signs when it says Hello or enrols.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use crate::id::{DeviceId, HubId, InviteCode, Nonce, PinnedKeyHash, PublicKey, Signature};

/// The connection that a proof is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transcript {
    /// The hub, from Challenge.
    pub hub: HubId,
    /// SHA-256 of the hub's certificate public key, as seen (device) or used (hub) on this connection.
    pub pinned: PinnedKeyHash,
    /// The hub's nonce, from Challenge.
    pub nonce: Nonce,
    /// The device.
    pub device: DeviceId,
    /// Protocol version.
    pub version: u32,
}

impl Transcript {
    /// Signs for Hello: `"lockstep-hello-1" ‖ hub ‖ pinned ‖ nonce ‖ device ‖ version (big-endian u32)`.
    #[must_use]
    pub fn sign_hello(&self, key: &DeviceKey) -> Signature {
        key.sign(&self.bytes(b"lockstep-hello-1", None))
    }

    /// Signs for Enrol: as for Hello with `"lockstep-enrol-1"`, then the code.
    #[must_use]
    pub fn sign_enrol(&self, key: &DeviceKey, code: &InviteCode) -> Signature {
        key.sign(&self.bytes(b"lockstep-enrol-1", Some(code)))
    }

    /// Whether `proof` is [`Transcript::sign_hello`] by the holder of `key`.
    #[must_use]
    pub fn verify_hello(&self, key: &PublicKey, proof: &Signature) -> bool {
        verify(key, &self.bytes(b"lockstep-hello-1", None), proof)
    }

    /// Whether `proof` is [`Transcript::sign_enrol`] by the holder of `key`.
    #[must_use]
    pub fn verify_enrol(&self, key: &PublicKey, code: &InviteCode, proof: &Signature) -> bool {
        verify(key, &self.bytes(b"lockstep-enrol-1", Some(code)), proof)
    }

    fn bytes(&self, domain: &[u8; 16], code: Option<&InviteCode>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(domain);
        bytes.extend_from_slice(&self.hub.0);
        bytes.extend_from_slice(&self.pinned.0);
        bytes.extend_from_slice(&self.nonce.0);
        bytes.extend_from_slice(&self.device.0);
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(code.map_or(&[][..], |code| &code.0));
        bytes
    }
}

/// A device's secret Ed25519 key. Signing is deterministic (RFC 8032).
#[derive(Clone)]
pub struct DeviceKey(SigningKey);

impl DeviceKey {
    /// From 32 secret bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(bytes).to_bytes())
    }
}

impl core::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DeviceKey(secret)")
    }
}

fn verify(key: &PublicKey, bytes: &[u8], proof: &Signature) -> bool {
    // Strict: small-order keys and malleable signatures are refused.
    VerifyingKey::from_bytes(&key.0)
        .is_ok_and(|key| key.verify_strict(bytes, &ed25519_dalek::Signature::from_bytes(&proof.0)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_fits_one_connection_one_device_and_one_purpose() {
        let key = DeviceKey::new(&[3; 32]);
        let public = key.public();
        let transcript = Transcript {
            hub: HubId([1; 16]),
            pinned: PinnedKeyHash([2; 32]),
            nonce: Nonce([3; 16]),
            device: DeviceId::of(&public),
            version: 1,
        };
        let proof = transcript.sign_hello(&key);
        assert!(transcript.verify_hello(&public, &proof));
        assert!(!transcript.verify_enrol(&public, &InviteCode::default(), &proof));
        for other in [
            Transcript { hub: HubId([9; 16]), ..transcript },
            Transcript { pinned: PinnedKeyHash([9; 32]), ..transcript },
            Transcript { nonce: Nonce([9; 16]), ..transcript },
            Transcript { device: DeviceId([9; 16]), ..transcript },
            Transcript { version: 2, ..transcript },
        ] {
            assert!(!other.verify_hello(&public, &proof), "{other:?}");
        }
        assert!(!transcript.verify_hello(&DeviceKey::new(&[4; 32]).public(), &proof));
        let code = InviteCode([5; 16]);
        let enrol = transcript.sign_enrol(&key, &code);
        assert!(transcript.verify_enrol(&public, &code, &enrol));
        assert!(!transcript.verify_enrol(&public, &InviteCode([6; 16]), &enrol));
    }
}
