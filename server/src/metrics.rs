//! What the hub counts, in Prometheus' text form. Never names, bodies or keys.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use lockstep_core::hub::Hub;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the sync histogram, seconds: from a fast NVMe disk to one in trouble.
const SYNC_SECONDS: [f64; 10] = [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0];

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// The hub's counters.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    entries: Counter,
    syncs: Counter,
    sync_seconds: Histogram,
    frames_received: Counter,
    frames_sent: Counter,
    bytes_sent: Counter,
    connections: Gauge,
    queued: Gauge,
    closed: Family<Reason, Counter>,
    reports: Family<Reason, Counter>,
    compacted: Counter,
    conversations_in_memory: Gauge<u64, AtomicU64>,
    conversations_bytes: Gauge<u64, AtomicU64>,
    log_head: Gauge<u64, AtomicU64>,
    store_bytes: Gauge<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("lockstep");
        let entries = Counter::default();
        registry.register("entries", "Log entries made durable", entries.clone());
        let syncs = Counter::default();
        registry.register("syncs", "Group commits, one sync each", syncs.clone());
        let sync_seconds = Histogram::new(SYNC_SECONDS);
        registry.register_with_unit("sync", "Time of one group commit", Unit::Seconds, sync_seconds.clone());
        let frames_received = Counter::default();
        registry.register("frames_received", "Frames from devices", frames_received.clone());
        let frames_sent = Counter::default();
        registry.register("frames_sent", "Frames to devices", frames_sent.clone());
        let bytes_sent = Counter::default();
        registry.register_with_unit("sent", "Frames to devices", Unit::Bytes, bytes_sent.clone());
        let connections = Gauge::default();
        registry.register("connections", "Open WebSocket connections", connections.clone());
        let queued = Gauge::default();
        registry.register_with_unit("queued", "Frames that wait for devices to read them", Unit::Bytes, queued.clone());
        let closed = Family::<Reason, Counter>::default();
        registry.register("closed", "Connections that the hub closed, by reason", closed.clone());
        let reports = Family::<Reason, Counter>::default();
        registry.register("reports", "Things that a person should know, see the log", reports.clone());
        let compacted = Counter::default();
        registry.register("documents_compacted", "Snapshots made of documents", compacted.clone());
        let conversations_in_memory = Gauge::<u64, AtomicU64>::default();
        registry.register(
            "conversations_in_memory",
            "Conversations whose state is in memory",
            conversations_in_memory.clone(),
        );
        let conversations_bytes = Gauge::<u64, AtomicU64>::default();
        registry.register_with_unit(
            "conversations",
            "What they take of hub.conversations_mib",
            Unit::Bytes,
            conversations_bytes.clone(),
        );
        let log_head = Gauge::<u64, AtomicU64>::default();
        registry.register("log_head", "The newest durable LSN", log_head.clone());
        let store_bytes = Gauge::<u64, AtomicU64>::default();
        registry.register_with_unit("store", "Table files on disk", Unit::Bytes, store_bytes.clone());
        Self {
            registry,
            entries,
            syncs,
            sync_seconds,
            frames_received,
            frames_sent,
            bytes_sent,
            connections,
            queued,
            closed,
            reports,
            compacted,
            conversations_in_memory,
            conversations_bytes,
            log_head,
            store_bytes,
        }
    }
}

impl Metrics {
    pub(crate) fn committed(&self, entries: u64, took: Duration) {
        self.entries.inc_by(entries);
        self.syncs.inc();
        self.sync_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn frame_received(&self) {
        self.frames_received.inc();
    }

    pub(crate) fn frame_sent(&self, bytes: usize) {
        self.frames_sent.inc();
        self.bytes_sent.inc_by(bytes as u64);
    }

    pub(crate) fn connected(&self) {
        self.connections.inc();
    }

    pub(crate) fn disconnected(&self) {
        self.connections.dec();
    }

    /// Counts the bytes of frames that wait for devices to read them.
    pub(crate) fn queued(&self) -> Gauge {
        self.queued.clone()
    }

    pub(crate) fn closed(&self, reason: &'static str) {
        self.closed.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn reported(&self, reason: &'static str) {
        self.reports.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn compacted(&self) {
        self.compacted.inc();
    }

    pub(crate) fn hub_state(&self, hub: &Hub) {
        self.conversations_in_memory.set(hub.conversations_in_memory() as u64);
        self.conversations_bytes.set(hub.conversations_bytes() as u64);
        self.log_head.set(hub.committed().0);
    }

    pub(crate) fn store_size(&self, bytes: u64) {
        self.store_bytes.set(bytes);
    }

    /// Open WebSocket connections.
    #[must_use]
    pub fn connections(&self) -> u64 {
        u64::try_from(self.connections.get()).unwrap_or(0)
    }

    /// Prometheus' text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing into a string cannot fail");
        text
    }
}
