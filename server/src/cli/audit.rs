//! `lockstep audit`: who did what, from a running hub or from a stopped one's store.

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

use super::exit::{Exit, Failed};
use super::{Options, output};
use crate::admin::{AdminClient, Answer, Request};
use crate::audit::{self as log, AuditFilter, AuditInfo, AuditVerdict};
use crate::config::Config;
use crate::instance::Instance;
use crate::server::ServerError;
use crate::store::Store;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Audit {
    #[command(subcommand)]
    verb: Option<AuditVerb>,
    /// Only what happened since: 2026-03-01, 2026-03-01T08:00:00Z, or 7d, 12h, 30m ago
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Timestamp>,
    /// Only what this member did, or what was done to them
    #[arg(long, value_name = "NUMBER")]
    who: Option<u32>,
    /// Only this kind, as sign-in, access-refused, assigned; a beginning does
    #[arg(long, value_name = "KIND")]
    what: Option<String>,
}

#[derive(Debug, Subcommand)]
enum AuditVerb {
    /// Walk the chain: no row was changed, taken out or put in
    Verify,
}

fn since(text: &str) -> Result<Timestamp, String> {
    since_at(text, Timestamp::now())
}

fn since_at(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(date) = text.parse::<Date>() {
        let begin = date.to_zoned(TimeZone::system()).map_err(|error| error.to_string())?;
        return Ok(begin.timestamp());
    }
    let (number, unit_seconds) = match text.char_indices().next_back() {
        Some((at, 'd')) => (&text[..at], 86_400),
        Some((at, 'h')) => (&text[..at], 3_600),
        Some((at, 'm')) => (&text[..at], 60),
        _ => ("", 0),
    };
    let seconds = number.parse::<i64>().ok().filter(|number| *number >= 0).and_then(|n| n.checked_mul(unit_seconds));
    let ago = seconds.ok_or("a time is given as 2026-03-01, 2026-03-01T08:00:00Z, 7d, 12h or 30m")?;
    now.checked_sub(SignedDuration::from_secs(ago)).map_err(|error| error.to_string())
}

pub(super) fn run(options: &Options, audit: &Audit) -> Result<(), Failed> {
    let config = options.config()?;
    match audit.verb {
        Some(AuditVerb::Verify) => {
            let verdict = verify(&config)?;
            let is_bad = verdict.bad.is_some();
            match options.json {
                true => output::json(&Answer::AuditVerified(verdict))?,
                false => print_verdict(&verdict)?,
            }
            let broken = || Failed::new(Exit::Failed, "audit_broken", "the audit log was tampered with; see above");
            if is_bad { Err(broken()) } else { Ok(()) }
        }
        None => {
            let since_ms = audit.since.map(|at| u64::try_from(at.as_millisecond()).unwrap_or(0));
            let filter = AuditFilter { since_ms, who: audit.who, what: audit.what.clone() };
            rows(&config, &filter, options.json)
        }
    }
}

/// Prints the rows page by page; as JSON one object a line.
fn rows(config: &Config, filter: &AuditFilter, json: bool) -> Result<(), Failed> {
    let show = |rows: &[AuditInfo]| match json {
        true => rows.iter().try_for_each(output::json),
        false => print(rows),
    };
    let mut after = Some(0);
    if let Some((_lock, store)) = stopped(config)? {
        while let Some(from) = after {
            let page = log::page(&store.reader(), from, filter).map_err(ServerError::Store)?;
            show(&page.rows)?;
            after = page.next;
        }
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = AdminClient::connect(&config.folder).await?;
        while let Some(from) = after {
            let Answer::Audit(page) = client.ask(&Request::Audit { after: from, filter: filter.clone() }).await? else {
                return Err(Failed::new(Exit::Internal, "unexpected", "the hub's answer is of another kind"));
            };
            show(&page.rows)?;
            after = page.next;
        }
        Ok(())
    })
}

fn verify(config: &Config) -> Result<AuditVerdict, Failed> {
    if let Some((instance, store)) = stopped(config)? {
        let key = instance.hub_key(store.keychain()).map_err(ServerError::Instance)?;
        return Ok(log::verify(&store.reader(), &key).map_err(ServerError::Store)?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match AdminClient::connect(&config.folder).await?.ask(&Request::AuditVerify).await? {
            Answer::AuditVerified(verdict) => Ok(verdict),
            _ => Err(Failed::new(Exit::Internal, "unexpected", "the hub's answer is of another kind")),
        }
    })
}

/// The store of a hub that does not run; none if one does.
pub(super) fn stopped(config: &Config) -> Result<Option<(Instance, Store)>, Failed> {
    if !config.folder.join("store").exists() {
        let text = format!("{} holds no hub; make one with `lockstep init`", config.folder.display());
        return Err(Failed::new(Exit::Unavailable, "not_running", text));
    }
    let Ok(instance) = Instance::take(&config.folder) else { return Ok(None) };
    let store = Store::open(instance.folder(), &config.store, &config.seal).map_err(ServerError::Keys)?;
    Ok(Some((instance, store)))
}

/// Prints rows for people.
pub(super) fn print(rows: &[AuditInfo]) -> Result<(), Failed> {
    rows.iter().try_for_each(|row| {
        let device = |id: &String| id.chars().take(8).collect::<String>();
        let who = match (row.by.as_str(), row.member, &row.device) {
            ("member", Some(member), Some(id)) => format!("member {member} ({})", device(id)),
            ("unproven", _, Some(id)) => format!("unproven {}", device(id)),
            (by, ..) => by.to_owned(),
        };
        let mut about = Vec::new();
        about.extend(row.whom.map(|member| format!("member {member}")));
        about.extend(row.object_device.as_ref().map(|id| format!("device {id}")));
        about.extend(row.conversation.as_ref().map(|id| format!("conversation {id}")));
        about.extend(row.detail.clone());
        let about = about.join(", ");
        let text = format!("{:>8}  {}  {who:<22} {:<20} {:<10} {about}", row.sequence, row.at, row.what, row.outcome);
        output::line(text.trim_end())
    })
}

/// Prints what the walk found.
pub(super) fn print_verdict(verdict: &AuditVerdict) -> Result<(), Failed> {
    match &verdict.bad {
        None => output::line(&format!("{} rows, the chain holds from the first to the last", verdict.rows)),
        Some(bad) => output::line(&format!("{} rows hold; row {} does not: {}", verdict.rows, bad.sequence, bad.why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let now: Timestamp = "2026-03-10T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-03-01T08:00:00Z", Some("2026-03-01T08:00:00Z")),
            ("2026-03-01T08:00:00+02:00", Some("2026-03-01T06:00:00Z")),
            ("7d", Some("2026-03-03T12:00:00Z")),
            ("12h", Some("2026-03-10T00:00:00Z")),
            ("30m", Some("2026-03-10T11:30:00Z")),
            ("0m", Some("2026-03-10T12:00:00Z")),
            ("-1d", None),
            ("d", None),
            ("yesterday", None),
            ("9223372036854775807d", None),
            ("", None),
        ] {
            assert_eq!(since_at(text, now).ok().map(|at| at.to_string()).as_deref(), expected, "{text}");
        }
        assert!(since_at("2026-03-01", now).is_ok());
    }
}
