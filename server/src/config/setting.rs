//! One setting: its key, its meaning, its default as TOML writes it, and how it gets into the configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::Value;

use super::{Config, LogFormat, MetricsAccess};
use crate::keychain::SealMode;

/// One setting.
pub(super) struct Setting {
    pub(super) key: &'static str,
    pub(super) meaning: &'static str,
    pub(super) default: &'static str,
    pub(super) take: fn(&mut Config, &Value) -> Result<(), String>,
}

impl Setting {
    /// The variable of the environment that sets it.
    pub(super) fn variable(&self) -> String {
        format!("LOCKSTEP_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// A text as the TOML value that the setting wants: judged by its default.
    pub(super) fn value(&self, text: &str) -> Value {
        let text = text.trim();
        if self.default.starts_with('[') {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            return Value::Array(items.map(|item| Value::String(item.into())).collect());
        }
        match text.parse::<i64>() {
            Ok(number) if !self.default.starts_with('"') => Value::Integer(number),
            _ => Value::String(text.into()),
        }
    }
}

const MIB: usize = 1024 * 1024;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Every setting, in the order of the example file: keys without a section first.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "folder",
        meaning: "The one folder of data: store, keys, certificates. Back up and move it as a whole, and the root key\n\
                  (seal.root_key) by another way.",
        default: "\"/var/lib/lockstep\"",
        take: |config, value| text(value).map(|text| config.folder = PathBuf::from(text)),
    },
    Setting {
        key: "grace_seconds",
        meaning: "How long a stopping hub waits for what is in flight.",
        default: "20",
        take: |config, value| number(value, 0, 600).map(|seconds| config.grace_seconds = seconds),
    },
    Setting {
        key: "listen.address",
        meaning: "Address and port. Port 0 takes a free one.",
        default: "\"0.0.0.0:7443\"",
        take: |config, value| {
            let parsed = text(value)?.parse();
            config.listen.address = parsed.map_err(|_| "an address with a port, as \"0.0.0.0:7443\"".to_owned())?;
            Ok(())
        },
    },
    Setting {
        key: "listen.plain",
        meaning: "A second port without TLS, of this machine only, for a proxy that speaks TLS with the hub's certificate and\n\
                  key: devices pin that key, and lockstep certificate key prints it. As \"127.0.0.1:7480\"; empty: none. It has\n\
                  connections_max places of its own.",
        default: "\"\"",
        take: |config, value| {
            let text = text(value)?;
            let wanted = "an address of this machine with a port, as \"127.0.0.1:7480\", or nothing";
            let parsed = (!text.is_empty()).then(|| text.parse::<SocketAddr>()).transpose().map_err(|_| wanted)?;
            if parsed.is_some_and(|address| !address.ip().is_loopback()) {
                return Err("only an address of this machine (127.0.0.1, ::1): it has no TLS".into());
            }
            config.listen.plain = parsed;
            Ok(())
        },
    },
    Setting {
        key: "listen.names",
        meaning: "Names and addresses by which devices reach the hub. The first one goes into pairing links, all of them\n\
                  into the hub's certificate. Empty: the machine's host name and addresses.",
        default: "[]",
        take: |config, value| {
            let items = value.as_array().ok_or("a list of names, as [\"hub.lan\", \"192.168.1.20\"]")?;
            config.listen.names = items.iter().map(text).collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    Setting {
        key: "listen.origins",
        meaning: "Web pages of other addresses that may connect to the hub beside its own inbox, as \"https://inbox.example\".",
        default: "[]",
        take: |config, value| {
            let items = value.as_array().ok_or("a list of origins, as [\"https://inbox.example\"]")?;
            let origins = items.iter().map(text).collect::<Result<Vec<_>, _>>()?;
            match origins.iter().find(|origin| !origin.starts_with("https://")) {
                Some(origin) => Err(format!("`{origin}` does not begin with https://")),
                None => {
                    config.listen.origins = origins;
                    Ok(())
                }
            }
        },
    },
    Setting {
        key: "listen.connections_max",
        meaning: "Open connections at once; more are turned away.",
        default: "16384",
        take: |config, value| size(value, 1, 1_000_000).map(|count| config.listen.connections_max = count),
    },
    Setting {
        key: "listen.handshakes_max",
        meaning: "Connections at once that have not finished their TLS and HTTP handshake.",
        default: "256",
        take: |config, value| size(value, 1, 100_000).map(|count| config.listen.handshakes_max = count),
    },
    Setting {
        key: "listen.metrics",
        meaning: "Who may read /metrics: \"local\" (this machine) or \"all\" (everyone who reaches the port).",
        default: "\"local\"",
        take: |config, value| {
            let options = [("local", MetricsAccess::Local), ("all", MetricsAccess::All)];
            one_of(value, &options).map(|access| config.listen.metrics = access)
        },
    },
    Setting {
        key: "tls.certificate",
        meaning: "PEM file of your own certificate chain. Empty: the hub makes its own and devices pin it. Devices pin the\n\
                  public key: keep the key when you renew.",
        default: "\"\"",
        take: |config, value| text(value).map(|text| config.tls.certificate = path(&text)),
    },
    Setting {
        key: "tls.key",
        meaning: "PEM file of its key.",
        default: "\"\"",
        take: |config, value| text(value).map(|text| config.tls.key = path(&text)),
    },
    Setting {
        key: "store.cache_mib",
        meaning: "Memory for rows read, MiB.",
        default: "64",
        take: |config, value| size(value, 1, 1_048_576).map(|mib| config.store.cache_bytes = mib * MIB),
    },
    Setting {
        key: "store.write_buffer_mib",
        meaning: "Memory for rows written and not yet in a file, MiB.",
        default: "64",
        take: |config, value| size(value, 4, 65_536).map(|mib| config.store.write_buffer_bytes = mib * MIB),
    },
    Setting {
        key: "seal.mode",
        meaning: "What is sealed on the disk: \"all\", or \"sensitive\": records of the vault class alone. Rows from before are\n\
                  sealed in the background once it is \"all\".",
        default: "\"all\"",
        take: |config, value| {
            let options = [("all", SealMode::All), ("sensitive", SealMode::Sensitive)];
            one_of(value, &options).map(|mode| config.seal.mode = mode)
        },
    },
    Setting {
        key: "seal.root_key",
        meaning: "File of the root key, 64 hex digits, without which nothing in the folder can be read. Keep a copy of it, apart\n\
                  from backups of the folder. Empty: systemd's credential lockstep-root-key, or else the folder's name with\n\
                  .root.key behind it, or else, for /var/lib/lockstep, /etc/lockstep/root.key. lockstep init makes it.",
        default: "\"\"",
        take: |config, value| text(value).map(|text| config.seal.root_key = path(&text)),
    },
    Setting {
        key: "seal.passphrase_file",
        meaning: "File of a passphrase that the root key comes from, instead of a file of its own. LOCKSTEP_PASSPHRASE in the\n\
                  environment does the same.",
        default: "\"\"",
        take: |config, value| text(value).map(|text| config.seal.passphrase_file = path(&text)),
    },
    Setting {
        key: "hub.retention_days",
        meaning: "How long a device may be away and still catch up by the log alone, days. After that it goes through the\n\
                  catalogue of documents: slower, nothing lost.",
        default: "30",
        take: |config, value| number(value, 1, 3_650).map(|days| config.hub.retention_ms = days * DAY_MS),
    },
    Setting {
        key: "hub.conversations_mib",
        meaning: "Memory for conversations in which nothing happens just now, MiB. What is needed again is read.",
        default: "64",
        take: |config, value| size(value, 1, 1_048_576).map(|mib| config.hub.conversations_bytes_max = mib * MIB),
    },
    Setting {
        key: "log.level",
        meaning: "error, warn, info, debug or trace, or a filter as \"lockstep_server=debug,info\". Libraries never say more than warnings.",
        default: "\"info\"",
        take: |config, value| {
            let text = text(value)?;
            let parsed = text.parse::<tracing_subscriber::filter::Targets>();
            parsed.map(|_| config.log.level = text).map_err(|error| format!("no filter: {error}"))
        },
    },
    Setting {
        key: "log.format",
        meaning: "\"text\" for people, \"json\" for machines.",
        default: "\"text\"",
        take: |config, value| {
            let options = [("text", LogFormat::Text), ("json", LogFormat::Json)];
            one_of(value, &options).map(|format| config.log.format = format)
        },
    },
];

fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| "a text in quotes".into())
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

fn number(value: &Value, min: u64, max: u64) -> Result<u64, String> {
    let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
    number.filter(|number| (min..=max).contains(number)).ok_or_else(|| format!("a whole number from {min} to {max}"))
}

fn size(value: &Value, min: usize, max: usize) -> Result<usize, String> {
    number(value, min as u64, max as u64).and_then(|number| usize::try_from(number).map_err(|error| error.to_string()))
}

fn one_of<T: Copy>(value: &Value, options: &[(&str, T)]) -> Result<T, String> {
    let chosen = options.iter().find(|(name, _)| value.as_str() == Some(name));
    let names: Vec<String> = options.iter().map(|(name, _)| format!("`{name}`")).collect();
    chosen.map(|(_, option)| *option).ok_or_else(|| format!("one of {}", names.join(", ")))
}
